-- The extension installs into a schema of its own and answers its version.
CREATE EXTENSION atoll;
SELECT atoll.version();
\dx atoll
\dx+ atoll
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
