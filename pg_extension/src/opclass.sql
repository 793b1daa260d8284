-- PARTITION BY HASH (key atoll.int8_ops_v1): the partition with MODULUS n and REMAINDER slot_of(key, n).
-- Only partitioning can use these classes. They have no support function 1, so that neither indexes nor
-- joins of other tables ever take them for PostgreSQL's own.
-- Integers of all widths share a family: the key may be compared with constants and parameters of any.
CREATE OPERATOR FAMILY int_ops_v1 USING hash;
CREATE OPERATOR CLASS int8_ops_v1 FOR TYPE int8 USING hash FAMILY int_ops_v1 AS
    OPERATOR 1 pg_catalog.= (int8, int8),
    FUNCTION 2 partition_hash_v1(int8, int8);
CREATE OPERATOR CLASS int4_ops_v1 FOR TYPE int4 USING hash FAMILY int_ops_v1 AS
    OPERATOR 1 pg_catalog.= (int4, int4),
    FUNCTION 2 partition_hash_v1(int4, int8);
CREATE OPERATOR CLASS int2_ops_v1 FOR TYPE int2 USING hash FAMILY int_ops_v1 AS
    OPERATOR 1 pg_catalog.= (int2, int2),
    FUNCTION 2 partition_hash_v1(int2, int8);
ALTER OPERATOR FAMILY int_ops_v1 USING hash ADD
    OPERATOR 1 pg_catalog.= (int8, int4),
    OPERATOR 1 pg_catalog.= (int8, int2),
    OPERATOR 1 pg_catalog.= (int4, int8),
    OPERATOR 1 pg_catalog.= (int4, int2),
    OPERATOR 1 pg_catalog.= (int2, int8),
    OPERATOR 1 pg_catalog.= (int2, int4);
-- varchar columns take text_ops_v1 as well.
CREATE OPERATOR CLASS text_ops_v1 FOR TYPE text USING hash AS
    OPERATOR 1 pg_catalog.= (text, text),
    FUNCTION 2 partition_hash_v1(text, int8);
CREATE OPERATOR CLASS bytea_ops_v1 FOR TYPE bytea USING hash AS
    OPERATOR 1 pg_catalog.= (bytea, bytea),
    FUNCTION 2 partition_hash_v1(bytea, int8);
CREATE OPERATOR CLASS uuid_ops_v1 FOR TYPE uuid USING hash AS
    OPERATOR 1 pg_catalog.= (uuid, uuid),
    FUNCTION 2 partition_hash_v1(uuid, int8);
