-- What a dump has to bring back; then scripts/test-pg-server.sh asks the copy the same questions.
CREATE EXTENSION atoll;
CREATE TABLE versions (c atoll.vclock, s atoll.hlc PRIMARY KEY, all_c atoll.vclock[] NOT NULL DEFAULT '{}');
CREATE INDEX versions_c ON versions USING hash (c);
INSERT INTO versions SELECT CASE WHEN i % 10 > 0 THEN format('{"섬":%s,"q\"uote":%s,"back\\slash":1}', i % 7, i)::atoll.vclock END, format('2026-11-23T02:00:00.%s7Z/00ff@n\ode "%s"', 10 + i % 80, i)::atoll.hlc, ARRAY['{}', '{"A":1}']::atoll.vclock[] FROM generate_series(1, 1000) i;
CREATE TABLE visits (id int8 NOT NULL CHECK (atoll.slot_of(id, 4) >= 0), slot int GENERATED ALWAYS AS (atoll.slot_of(id, 4)) STORED) PARTITION BY HASH (id atoll.int8_ops_v1);
CREATE TABLE visits_0 PARTITION OF visits FOR VALUES WITH (MODULUS 4, REMAINDER 0);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES WITH (MODULUS 4, REMAINDER 1);
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES WITH (MODULUS 4, REMAINDER 2);
CREATE TABLE visits_3 PARTITION OF visits FOR VALUES WITH (MODULUS 4, REMAINDER 3);
CREATE INDEX ON visits (atoll.slot_of(id, 16));
INSERT INTO visits SELECT i FROM generate_series(-1000, 1000) i;
CREATE VIEW merged AS SELECT atoll.merge(c) AS c FROM versions WHERE c OPERATOR(atoll.>=) '{"섬":1}';
