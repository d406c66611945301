-- What one server says of itself and of those that stream from it, as one JSON
-- value: one statement, one round trip, one snapshot. Runs on PostgreSQL 14 or newer,
-- on a primary and on a standby. What the role may not see comes out as null.
WITH node AS (
    SELECT standby, CASE WHEN standby THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END AS lsn,
        -- The end of the log as far as it is here: what a slot retains ends there.
        CASE WHEN standby THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) ELSE pg_current_wal_flush_lsn() END AS wal_end
    FROM (SELECT pg_is_in_recovery() AS standby) AS recovery
), receiver AS (
    SELECT status, slot_name,
        -- The server has blanked the password in it.
        coalesce(substring(conninfo FROM ' application_name=(\S+)'), substring(conninfo FROM 'fallback_application_name=(\S+)')) AS application
    FROM pg_stat_wal_receiver
), startup AS (
    SELECT pid, wait_event_type, wait_event FROM pg_stat_activity WHERE backend_type = 'startup'
), busy AS (
    SELECT pid, usename, application_name, state,
        extract(epoch FROM clock_timestamp() - xact_start) AS seconds,
        -- Replay waits for a lock that this session holds, or for a snapshot to go.
        EXISTS (SELECT FROM startup JOIN pg_locks w ON w.pid = startup.pid AND NOT w.granted
            JOIN pg_locks h ON h.granted AND h.pid = a.pid AND h.locktype = w.locktype
                AND h.database = w.database AND h.relation = w.relation)
            OR backend_xmin IS NOT NULL AND EXISTS (SELECT FROM startup WHERE wait_event = 'RecoveryConflictSnapshot') AS in_the_way
    FROM pg_stat_activity a
    WHERE backend_type = 'client backend' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
    ORDER BY in_the_way DESC, xact_start LIMIT 1
)
SELECT json_build_object(
    'standby', standby,
    'system', (SELECT system_identifier FROM pg_control_system()),
    'started', (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
    'user', current_user,
    'may_see', pg_has_role('pg_read_all_stats', 'USAGE') AND has_function_privilege('pg_ls_waldir()', 'EXECUTE'),
    -- A standby's control file may name a timeline that is too old, but never one that is
    -- too new; what is known besides is asked for in timeline.go.
    'timeline', CASE WHEN standby THEN greatest(
            (SELECT min_recovery_end_timeline FROM pg_control_recovery()), (SELECT timeline_id FROM pg_control_checkpoint()))
        ELSE ('x' || left(pg_walfile_name(lsn), 8))::bit(32)::integer END,
    'lsn', (lsn - '0/0')::bigint,
    'received', (wal_end - '0/0')::bigint,
    'replay', CASE WHEN standby THEN pg_get_wal_replay_pause_state() END,
    'receiver', (SELECT row_to_json(receiver) FROM receiver),
    'primary_slot', current_setting('primary_slot_name'),
    'replay_wait', (SELECT wait_event_type || '/' || wait_event FROM startup),
    'longest', (SELECT row_to_json(busy) FROM busy),
    'conflicts', (SELECT sum(confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock)::bigint
        FROM pg_stat_database_conflicts),
    'streams', (SELECT json_agg(json_build_object('name', r.application_name, 'state', r.state, 'sync', r.sync_state,
            'slot', s.slot_name, 'sent', (sent_lsn - '0/0')::bigint, 'flushed', (flush_lsn - '0/0')::bigint)
            ORDER BY backend_start DESC)
        FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid),
    'slots', (SELECT json_agg(json_build_object('name', slot_name, 'active', active, 'wal_status', wal_status,
            'retained', CASE WHEN restart_lsn > wal_end THEN 0 ELSE (wal_end - restart_lsn)::bigint END) ORDER BY slot_name)
        FROM pg_replication_slots),
    -- Sessions whose COMMIT waits for a standby, and the one that may have done so longest.
    'waiting', (SELECT json_build_object('commits', count(*), 'pid', (array_agg(pid ORDER BY query_start))[1],
            'began', min(query_start)::text)
        FROM pg_stat_activity WHERE wait_event = 'SyncRep'),
    'settings', (SELECT json_object_agg(name, current_setting(name)) FROM pg_settings WHERE name = ANY ($1::text[])),
    'pending', (SELECT json_agg(name ORDER BY name) FROM pg_settings WHERE pending_restart)
) FROM node
