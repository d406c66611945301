package main

// withoutNets drops the constraints under the stock.
const withoutNets = `DO $$ DECLARE c record; BEGIN
	FOR c IN SELECT conrelid::regclass AS t, conname FROM pg_constraint
		WHERE contype = 'c' AND conrelid IN ('variants'::regclass, 'stock_movements'::regclass)
	LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname); END LOOP; END $$`

// mutants are the mistakes that this run must be able to see.
var mutants = []mutant{
	{
		name: "ignores the token", scenario: "replay paused", check: "I1", short: true,
		edits: []edit{{"db/fresh/route.go", "\t\td.token, _ = d.carrier.Token()\n", ""}},
	},
	{
		name: "asks the guard after the query", scenario: "guard race", check: "I1",
		edits: []edit{
			{"db/fresh/pipeline.go", `	if todo.guard {
		err = w.add(ctx, batch, guardSQL)
	}
	for _, l := range reads {
		l.statement, l.err = nil, err
		if err == nil && l.demand.task.fn == nil {
			l.err = w.addRead(ctx, batch, l)
		}
		some = some || l.err == nil
	}
`, `	for _, l := range reads {
		l.statement, l.err = nil, err
		if err == nil && l.demand.task.fn == nil {
			l.err = w.addRead(ctx, batch, l)
		}
		some = some || l.err == nil
	}
	if todo.guard {
		err = w.add(ctx, batch, guardSQL)
	}
`},
			{"db/fresh/pipeline.go", `	if todo.guard {
		var proven Position
		if proven, err = w.receivePosition(answers); err != nil {
			return failAll(reads, err)
		}
		for _, l := range reads {
			l.proven = proven
		}
	}
	for _, l := range reads {
		switch {
		case l.err != nil: // not sent
			continue
		case err != nil:
			l.err = w.skipped()
			continue
		case l.statement != nil:
			l.result, err = l.statement.receive(answers)
			l.err = err
		}
		if l.err == nil && !l.proven.Reached(l.floor) {
			l.result, l.err = nil, errBehind
		}
	}
`, `	for _, l := range reads {
		switch {
		case l.err != nil: // not sent
			continue
		case err != nil:
			l.err = w.skipped()
			continue
		case l.statement != nil:
			l.result, err = l.statement.receive(answers)
			l.err = err
		}
	}
	if todo.guard && err == nil {
		var proven Position
		if proven, err = w.receivePosition(answers); err != nil {
			return failAll(reads, err)
		}
		for _, l := range reads {
			l.proven = proven
		}
	}
	for _, l := range reads {
		if l.err == nil && !l.proven.Reached(l.floor) {
			l.result, l.err = nil, errBehind
		}
	}
`},
		},
	},
	{
		name: "compares LSNs without their timeline", scenario: "stranded standby", check: "I1",
		edits: []edit{
			{"db/fresh/position.go", "p.Timeline == floor.Timeline && p.LSN >= floor.LSN", "p.LSN >= floor.LSN"},
			{"db/fresh/topology.go", "e.same(v) && (e.primary == nil || v.pos.Timeline == e.timeline)", "e.same(v)"},
			{"db/fresh/route.go", "if !era.has(v) || n.damaged.Load() || !floor.IsZero() && v.pos.Timeline != floor.Timeline {", "if !era.has(v) || n.damaged.Load() {"},
		},
	},
	{
		name: "takes the token before COMMIT", scenario: "guard race", check: "I1",
		edits: []edit{
			{
				"db/fresh/write.go", `"COMMIT; SELECT pg_current_wal_flush_lsn()::text, pg_walfile_name(pg_current_wal_flush_lsn())"`,
				`"SELECT pg_current_wal_flush_lsn()::text, pg_walfile_name(pg_current_wal_flush_lsn()); COMMIT"`,
			},
			{"db/fresh/write.go", "len(results) != 2 || len(results[1].Rows) != 1", "len(results) != 2 || len(results[0].Rows) != 1"},
			{"db/fresh/write.go", "parsePosition(results[1].Rows[0])", "parsePosition(results[0].Rows[0])"},
		},
	},
	{
		name: "keeps no stamp of what it read", scenario: "unequal lag", check: "I2",
		edits: []edit{{"db/fresh/route.go", "	d.carrier.raise(l.stamp)\n", ""}},
	},
	{
		// The monitor of today forgets; this one remembers the furthest that it saw.
		name: "accepts on the monitor's view", scenario: "restarted behind its past", check: "I1",
		edits: []edit{
			{"db/fresh/topology.go", "	before := n.view.Swap(&v)\n", `	if v.err == nil && v.standby {
		best, _ := furthest.LoadOrStore(n, v.pos)
		v.pos = v.pos.Merge(best.(Position))
		furthest.Store(n, v.pos)
	}
	before := n.view.Swap(&v)
`},
			{"db/fresh/topology.go", "// topology is what", "var furthest sync.Map\n\n// topology is what"},
			{"db/fresh/lease.go", "return l.primary || l.floor.IsZero() ||", "return l.primary || l.floor.IsZero() || l.node.view.Load().pos.Reached(l.floor) ||"},
			{"db/fresh/pipeline.go", "if l.err == nil && !l.proven.Reached(l.floor) {", "if l.err == nil && !l.proven.Reached(l.floor) && !w.node.view.Load().pos.Reached(l.floor) {"},
			{"db/fresh/lease.go", "	l.proven = l.state.pos\n", "	l.proven = l.state.pos.Merge(l.node.view.Load().pos)\n"},
		},
	},
	{
		name: "takes an unknown lag for none", scenario: "everything cut", check: "G2",
		edits: []edit{
			{"db/fresh/history.go", "	if i == len(s) {\n		return Position{}, false\n	}\n", "	if i == len(s) {\n		return Position{}, true\n	}\n"},
			{"db/fresh/history.go", "	return max(0, age(now, s[i-1].at)), true", "	if s.silentFor(now) > time.Second {\n		return 0, true\n	}\n	return max(0, age(now, s[i-1].at)), true"},
		},
	},
	{
		name: "sells without the stock guard", scenario: "replay paused", check: "I3",
		prepare: withoutNets,
		edits: []edit{
			{"catalog/stock.go", "n := s.available[line.VariantID]; n < line.Quantity", "n := s.available[line.VariantID]; n < -1_000_000"},
			{"db/writeq/catalog_stock.sql.go", " AND v.stock_quantity >= w.quantity", ""},
		},
	},
	{
		name: "hands out the same stock to all of a batch", scenario: "hot item", check: "I3",
		prepare: withoutNets,
		edits: []edit{
			{"catalog/stock.go", "s.available[line.VariantID] -= line.Quantity", "s.available[line.VariantID] -= 0"},
			{"db/writeq/catalog_stock.sql.go", " AND v.stock_quantity >= w.quantity", ""},
		},
	},
	{
		name: "keeps no idempotency key", scenario: "commit in doubt", check: "I4",
		edits: []edit{
			{"orders/idempotency.go", "	err = s.write(ctx, func(ctx context.Context, q *writeq.Queries) error {\n", "	err = s.write(ctx, func(ctx context.Context, q *writeq.Queries) (err error) {\n		if answer, err = fn(ctx, q); true {\n			return err\n		}\n"},
		},
	},
	{
		name: "acknowledges on the warning", scenario: "cancelled wait", check: "I5",
		edits: []edit{{"db/fresh/write.go", `case state.trouble != "":`, `case state.trouble == "never":`}},
	},
	{
		name: "commits on the request's context", scenario: "no synchronous standby", check: "unreplicated",
		edits: []edit{
			{"db/fresh/write.go", "sendCommit(context.WithoutCancel(ctx), ", "sendCommit(ctx, "},
			{"db/fresh/node.go", "	var established atomic.Bool\n", "	var established atomic.Bool\n	if true {\n		return nil\n	}\n"},
		},
	},
	{
		name: "replays by a plain SELECT", scenario: "cancelled wait", check: "I5",
		edits: []edit{{"db/writeq/idempotency.sql.go", `INSERT INTO idempotency_keys AS k (caller, route, key, fingerprint)
VALUES ($1, $2, $3, $4)
ON CONFLICT (caller, route, key) DO UPDATE SET replayed_at = now()
RETURNING k.fingerprint, k.status, k.response
`, `WITH found AS (
    SELECT k.fingerprint, k.status, k.response FROM idempotency_keys k WHERE k.caller = $1 AND k.route = $2 AND k.key = $3
), made AS (
    INSERT INTO idempotency_keys AS k (caller, route, key, fingerprint)
    SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM found)
    ON CONFLICT (caller, route, key) DO UPDATE SET replayed_at = now()
    RETURNING k.fingerprint, k.status, k.response
)
SELECT * FROM found UNION ALL SELECT * FROM made
`}},
	},
	{
		name: "replicates asynchronously", scenario: "failover and rejoin", check: "I5", short: true,
		async: true,
	},
	{
		name: "never follows a promotion", scenario: "failover and rejoin", check: "recovery",
		edits: []edit{
			{"db/fresh/topology.go", "case v.pos.Timeline <= now.timeline:", "case now.primary != nil:"},
		},
	},
	{
		name: "keeps connections on 25006", scenario: "read-only for a while", check: "recovery",
		edits: []edit{{"db/fresh/write.go", "	switch v {\n	case demoted, replan:\n", "	switch v {\n	case demoted:\n	case replan:\n"}},
	},
	{
		name: "falls back without a cap", scenario: "all replicas killed", check: "cap",
		edits: []edit{
			{"db/fresh/bulkhead.go", "func (b *bulkhead) enter(ctx context.Context) error {\n", "func (b *bulkhead) enter(ctx context.Context) error {\n	if true {\n		return nil\n	}\n"},
			{"db/fresh/bulkhead.go", "func (b *bulkhead) leave() { <-b.slots }", "func (b *bulkhead) leave() {}"},
		},
	},
	{
		name: "sends a transaction again after its COMMIT", scenario: "commit in doubt", check: "I8",
		edits: []edit{
			{"db/fresh/write.go", "if err == nil || errors.Is(err, ErrCommitUnknown) {", "if err == nil {"},
		},
	},
}
