-- Routing functions and types are for everybody: they read nothing but their arguments. PostgreSQL gives new
-- functions to PUBLIC by itself, but not the schema they are in.
GRANT USAGE ON SCHEMA @extschema@ TO PUBLIC;
-- Shells, to be filled once their functions are there.
CREATE TYPE vclock;
CREATE TYPE hlc;
