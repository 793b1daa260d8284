-- A group of colocated tables for tests of the wrapper by itself, which fill in its nodes and slots.
INSERT INTO atoll.colocation_group VALUES (1, 'int', 8);
