-- The four roles of the shop, for a superuser to run once, connected to the
-- shop's database. Running it again changes nothing. Passwords are not its
-- business: give them with ALTER ROLE ... PASSWORD, or use certificates.
--
--   shop_owner  owns the schema and runs the migrations; nothing else uses it
--   shop_rw     the write pool: INSERT, UPDATE and few DELETEs, no DDL
--   shop_ro     every read pool and the monitor: SELECT only. A missing grant is
--               what stops a write; default_transaction_read_only alone does
--               not, because a session may switch it off
--   replicator  streams WAL to the standbys
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['shop_owner', 'shop_rw', 'shop_ro'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', wanted);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'replicator') THEN
        CREATE ROLE replicator LOGIN REPLICATION;
    END IF;
END $$;

-- pg_temp comes last so that a temporary table can never stand in for a real one.
ALTER ROLE shop_owner SET search_path = public, pg_temp;
ALTER ROLE shop_rw    SET search_path = public, pg_temp;
ALTER ROLE shop_ro    SET search_path = public, pg_temp;

-- A hot stock row is locked for a whole synchronous commit, so a waiting
-- checkout gives up after 2 s and says so instead of queueing for ever.
ALTER ROLE shop_rw SET statement_timeout = '5s';
ALTER ROLE shop_rw SET lock_timeout = '2s';
ALTER ROLE shop_rw SET idle_in_transaction_session_timeout = '10s';

-- Shorter than max_standby_streaming_delay (30 s by default): a slow read is
-- cancelled before it can hold replay up and cause the lag it then suffers from.
ALTER ROLE shop_ro SET statement_timeout = '3s';
ALTER ROLE shop_ro SET lock_timeout = '1s';
ALTER ROLE shop_ro SET idle_in_transaction_session_timeout = '5s';
ALTER ROLE shop_ro SET default_transaction_read_only = on;

-- What a shop shows most of the day is in memory, and storage today seeks well. At the
-- default of 4 an index looks so dear that a product page reads the whole table of
-- categories to find one (manual, section 20.7.2).
ALTER ROLE shop_rw SET random_page_cost = 1.1;
ALTER ROLE shop_ro SET random_page_cost = 1.1;

-- An ALTER TABLE that waits for its lock blocks every reader behind it. There is no
-- statement_timeout: building an index takes what it takes.
ALTER ROLE shop_owner SET lock_timeout = '5s';
ALTER ROLE shop_owner SET idle_in_transaction_session_timeout = '60s';

-- Shares of the connections that the server has, so that no role can take those of
-- another, however many processes are started: 53300 for the one that asks for too
-- many. A process takes 16 as shop_rw and, on a replica, 21 as shop_ro unless it is told
-- otherwise.
-- After a change of max_connections run this again.
DO $$
DECLARE room integer := current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer;
BEGIN
    EXECUTE format('ALTER ROLE shop_owner CONNECTION LIMIT %s', greatest(room / 10, 1));
    EXECUTE format('ALTER ROLE shop_rw CONNECTION LIMIT %s', greatest(room * 4 / 10, 1));
    EXECUTE format('ALTER ROLE shop_ro CONNECTION LIMIT %s', greatest(room * 5 / 10, 1));
END $$;

-- received_tli of pg_stat_wal_receiver is NULL without it. The timeline of a standby
-- would then come from its control file alone, which may trail a promotion for
-- minutes, and the standby would not be used for that long. Not pg_monitor, which also
-- reads all settings: primary_conninfo may hold the password of replicator.
GRANT pg_read_all_stats TO shop_ro;
-- For shop check: names of WAL files tell that a standby has heard of a new timeline.
GRANT EXECUTE ON FUNCTION pg_ls_waldir() TO shop_ro;

-- For the extensions, which are trusted but want CREATE on the database: a
-- database that somebody else made is not shop_owner's. Nobody else but these three
-- connects to it. A temporary table is a write, which a role that only reads should not
-- be able to make anywhere.
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO shop_owner, shop_rw, shop_ro', current_database());
    EXECUTE format('GRANT CREATE ON DATABASE %I TO shop_owner', current_database());
END $$;

-- So is a large object, or a message in the WAL, and for these anybody has the right
-- unless it is taken back. By name, since their arguments change between versions.
DO $$
DECLARE writes regprocedure;
BEGIN
    FOR writes IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
        AND proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'pg_logical_emit_message')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', writes);
    END LOOP;
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CREATE, USAGE ON SCHEMA public TO shop_owner;
GRANT USAGE ON SCHEMA public TO shop_rw, shop_ro;
