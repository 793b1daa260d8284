-- The extension installs into a schema of its own and answers its version.
CREATE EXTENSION atoll;
SELECT atoll.version();
\dx atoll
-- Since PostgreSQL 17 the types of tables, and arrays of types, are members of their own.
SELECT pg_describe_object(classid, objid, 0) AS object FROM pg_depend d
WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'atoll') AND deptype = 'e'
    AND NOT (classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type t WHERE t.oid = d.objid AND (t.typrelid <> 0 OR t.typelem <> 0)))
ORDER BY pg_describe_object(classid, objid, 0) COLLATE "C";
SELECT provolatile, proisstrict, proparallel FROM pg_proc WHERE oid = 'atoll.version()'::regprocedure;

-- The schema is part of its name: every stored call says atoll.something.
ALTER EXTENSION atoll SET SCHEMA public;

-- PostgreSQL leaves the empty schema behind; that does not stop the next installation.
DROP EXTENSION atoll;
SELECT count(*) FROM pg_proc WHERE pronamespace = 'atoll'::regnamespace;
CREATE EXTENSION atoll;
SELECT atoll.version();
DROP EXTENSION atoll;
DROP SCHEMA atoll;

-- C functions are the superuser's to install.
CREATE ROLE atoll_plain;
GRANT CREATE ON DATABASE postgres TO atoll_plain;
SET ROLE atoll_plain;
CREATE EXTENSION atoll;
RESET ROLE;
REVOKE CREATE ON DATABASE postgres FROM atoll_plain;
DROP ROLE atoll_plain;
