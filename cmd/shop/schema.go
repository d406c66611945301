package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/web"
	"example.com/leeway/migrations"
)

// schemaCheck finds out whether the database has the schema that this program needs.
// Asking once, at start, would not do: nodes may be down then, and a migration may be
// under way. So it asks until it is there, and /readyz says so for as long; after that
// never again.
type schemaCheck struct {
	router *fresh.Router
	log    *slog.Logger
	state  atomic.Int32
}

// The states of the schema.
const (
	schemaUnknown = iota
	schemaOld     // or there is none
	schemaThere
)

const (
	schemaEvery   = 100 * time.Millisecond
	schemaTimeout = 2 * time.Second
)

// run returns when the schema is there, or ctx ends.
func (c *schemaCheck) run(ctx context.Context) {
	ticker := time.NewTicker(schemaEvery)
	defer ticker.Stop()
	for !c.look(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look asks the primary, and without one whichever replica there is. A replica with an
// old schema may only be late.
func (c *schemaCheck) look(ctx context.Context) (done bool) {
	ctx, cancel := context.WithTimeout(ctx, schemaTimeout)
	defer cancel()
	version, err := migrations.Applied(ctx, c.router.Reader(fresh.Strong()))
	byReplica := errors.Is(err, fresh.ErrNoPrimary)
	if byReplica {
		version, err = migrations.Applied(ctx, c.router.Reader(fresh.Any()))
	}
	if err != nil {
		return false // nobody answers, which the router's own log tells
	}
	if version < migrations.Needed() {
		if !byReplica && c.state.Swap(schemaOld) != schemaOld {
			c.log.Error("the schema of the database is older than this program needs; run: shop migrate up", "needed", migrations.Needed())
		}
		return false
	}
	if c.state.Swap(schemaThere) == schemaOld {
		c.log.Info("the schema of the database is as new as this program needs")
	}
	return true
}

// err is nil once the schema is there.
func (c *schemaCheck) err() error {
	switch c.state.Load() {
	case schemaThere:
		return nil
	case schemaOld:
		return notReady(fmt.Sprintf("The schema of the database is older than version %d, which this program needs. Run: shop migrate up", migrations.Needed()))
	}
	return notReady("No node has told yet which schema the database has.")
}

func notReady(detail string) error {
	return &web.Problem{Status: http.StatusServiceUnavailable, Code: "not_ready", RetryAfter: time.Second, Detail: detail}
}
