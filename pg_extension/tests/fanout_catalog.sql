-- A group of colocated tables for tests of the wrapper by itself, which fill in its nodes and slots.
INSERT INTO atoll.colocation_group (family, slots) VALUES ('int', 12);
