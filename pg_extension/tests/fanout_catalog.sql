-- The part of the catalog that the wrapper reads, for tests of the wrapper by itself.
CREATE TABLE atoll.node (node_id int4 PRIMARY KEY, name text UNIQUE, conninfo text NOT NULL, enabled bool NOT NULL);
CREATE TABLE atoll.slot (group_id int4, slot int4, node_id int4 NOT NULL, PRIMARY KEY (group_id, slot));
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON atoll.node EXECUTE FUNCTION atoll.catalog_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON atoll.slot EXECUTE FUNCTION atoll.catalog_changed();
