REVOKE ALL ON FUNCTION node_ask(int4, text) FROM PUBLIC;

-- What is wrong with a node, a line each; none when it can hold slots.
CREATE FUNCTION node_problems(which int4) RETURNS SETOF text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    problem text;
    there text[];
    here text[];
    -- Both sides are asked the same, so that answers compare as text.
    facts CONSTANT text := 'SELECT pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider::text,
        pg_database_collation_actual_version(oid),
        (SELECT extversion FROM pg_extension WHERE extname = ''atoll''),
        current_setting(''max_prepared_transactions''), current_setting(''server_version_num''),
        (SELECT system_identifier::text FROM pg_control_system()) || ''/'' || oid::text
        FROM pg_database WHERE datname = current_database()';
    names CONSTANT text[] := '{encoding,collation,character type,locale provider,collation version,version of extension atoll}';
BEGIN
    SELECT a.trouble, a.answer INTO problem, there FROM atoll.node_ask(which, facts) a;
    IF problem IS NOT NULL THEN
        RETURN NEXT problem;
        RETURN;
    END IF;
    EXECUTE pg_catalog.format('SELECT array[a::text, b::text, c::text, d, e, f, g, h, i] FROM (%s) v (a, b, c, d, e, f, g, h, i)', facts) INTO here;
    FOR i IN 1 .. 6 LOOP
        IF there[i] IS DISTINCT FROM here[i] THEN
            RETURN NEXT format('%s is %s there and %s here', names[i], coalesce(there[i], 'missing'), coalesce(here[i], 'missing'));
        END IF;
    END LOOP;
    IF there[7]::int4 = 0 THEN
        RETURN NEXT 'max_prepared_transactions is 0 there';
    END IF;
    IF there[8]::int4 < 150000 THEN
        RETURN NEXT 'PostgreSQL there is older than 15';
    END IF;
    IF there[9] = here[9] THEN
        RETURN NEXT 'it is this database itself';
    END IF;
END $$;

CREATE FUNCTION add_node(name text, conninfo text, login text DEFAULT NULL, password text DEFAULT NULL) RETURNS int4
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    id int4;
    problems text;
BEGIN
    problems := atoll.conninfo_problem(conninfo);
    IF problems IS NOT NULL THEN
        RAISE EXCEPTION 'the connection string of node "%" %', name, problems
            USING ERRCODE = '22023', HINT = 'Passwords are kept in user mappings: pass login and password as arguments.';
    END IF;
    INSERT INTO atoll.node AS n (name, conninfo) VALUES (name, conninfo) RETURNING n.node_id INTO id;
    EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER atoll_fdw', 'atoll_node_' || name);
    IF login IS NOT NULL OR password IS NOT NULL THEN
        EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER SERVER %I OPTIONS (%s)', 'atoll_node_' || name,
            concat_ws(', ', 'user ' || quote_literal(login), 'password ' || quote_literal(password)));
    END IF;
    SELECT string_agg(p, E'\n') INTO problems FROM atoll.node_problems(id) p;
    IF problems IS NOT NULL THEN
        RAISE EXCEPTION 'node "%" cannot be added', name USING ERRCODE = '55000', DETAIL = problems;
    END IF;
    RETURN id;
END $$;

CREATE FUNCTION node_id_of(which text) RETURNS int4 LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE id int4;
BEGIN
    SELECT node_id INTO id FROM atoll.node WHERE name = which;
    IF id IS NULL THEN
        RAISE EXCEPTION 'there is no node "%"', which USING ERRCODE = '42704';
    END IF;
    RETURN id;
END $$;

CREATE FUNCTION remove_node(name text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id int4 := atoll.node_id_of(name);
    held int8;
BEGIN
    -- Whoever gives it a slot holds the row.
    PERFORM FROM atoll.node WHERE node_id = id FOR UPDATE;
    SELECT count(*) INTO held FROM atoll.slot WHERE node_id = id;
    IF held > 0 THEN
        RAISE EXCEPTION 'node "%" holds % slots', name, held
            USING ERRCODE = '55006', HINT = 'Drop or undistribute the tables first.';
    END IF;
    -- A decided transaction may still wait there to be committed.
    IF EXISTS (SELECT FROM atoll.transaction WHERE id = ANY (nodes)) THEN
        RAISE EXCEPTION 'node "%" may hold prepared transactions', name
            USING ERRCODE = '55006', HINT = 'Call atoll.recover_transactions() first.';
    END IF;
    DELETE FROM atoll.node WHERE node_id = id;
    EXECUTE format('DROP SERVER %I CASCADE', 'atoll_node_' || name);
END $$;

CREATE FUNCTION disable_node(name text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE atoll.node SET enabled = false WHERE node_id = atoll.node_id_of($1);
END $$;

CREATE FUNCTION enable_node(name text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE atoll.node SET enabled = true WHERE node_id = atoll.node_id_of($1);
END $$;

CREATE FUNCTION check_nodes() RETURNS TABLE (node text, enabled bool, problem text) LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $$
    SELECT n.name, n.enabled, p FROM atoll.node n LEFT JOIN LATERAL atoll.node_problems(n.node_id) p ON true ORDER BY 1, 3;
$$;

CREATE VIEW nodes AS
    SELECT n.node_id, n.name, n.enabled, (SELECT pg_catalog.count(*) FROM slot s WHERE s.node_id OPERATOR(pg_catalog.=) n.node_id) AS slots FROM node n;
CREATE VIEW tables AS
    SELECT relid AS "table", key, key_type, method, slots, group_id AS "group", constraints,
        indexes OPERATOR(pg_catalog.||) ARRAY (SELECT pg_catalog.format('CREATE INDEX %I ON %%SHARD%%%s', s.name, s.definition) FROM shape s
            WHERE s.relid OPERATOR(pg_catalog.=) d.relid AND s.kind OPERATOR(pg_catalog.=) 'index' ORDER BY s.name) AS indexes
    FROM distributed_table d;
CREATE VIEW slots AS
    SELECT t.relid AS "table", s.slot, n.name AS node,
        pg_catalog.format('%I.%I', t.shard_schema, t.shard_prefix::text OPERATOR(pg_catalog.||) '_' OPERATOR(pg_catalog.||) pg_catalog.lpad(s.slot::text, 4, '0')) AS shard
    FROM distributed_table t JOIN slot s USING (group_id) JOIN node n USING (node_id);

REVOKE ALL ON FUNCTION conninfo_problem(text), node_problems(int4), add_node(text, text, text, text), node_id_of(text), remove_node(text),
    disable_node(text), enable_node(text), check_nodes() FROM PUBLIC;
