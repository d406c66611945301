// Package db binds the replica-aware router of db/fresh to the queries that
// sqlc generates. Read, Snapshot and Write are the only doors to the database:
// a caller names its freshness contract in the argument list and gets a handle
// that can do no more than it promised. Pools and connections stay inside.
package db

import (
	"context"

	"example.com/leeway/db/fresh"
	"example.com/leeway/db/readq"
	"example.com/leeway/db/writeq"
)

// DB is safe for concurrent use.
type DB struct{ router *fresh.Router }

// New returns the database behind the router. The caller closes the router.
func New(router *fresh.Router) *DB { return &DB{router} }

// Read returns a handle for single statements, each of which is routed on its
// own and read whole before any of it is seen. For several statements that
// must agree with each other use Snapshot.
func (d *DB) Read(p fresh.Policy) *readq.Queries { return readq.New(d.router.Reader(p)) }

// Snapshot runs fn in one REPEATABLE READ, READ ONLY transaction on one node. fn
// may run more than once and must keep its effects to itself until the end.
func (d *DB) Snapshot(ctx context.Context, p fresh.Policy, fn func(context.Context, *readq.Queries) error) error {
	return d.router.Snapshot(ctx, p, func(ctx context.Context, tx fresh.ReadTx) error {
		return fn(ctx, readq.New(tx))
	})
}

// Write runs fn in one READ COMMITTED transaction on the primary and commits
// it. fn may run more than once (serialization failure, deadlock) and must keep
// its effects outside of the transaction to itself. See fresh.Router.Write for
// the errors, above all fresh.ErrCommitUnknown.
func (d *DB) Write(ctx context.Context, fn func(context.Context, *writeq.Queries) error) error {
	return d.router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
		return fn(ctx, writeq.New(tx))
	})
}

// Coalescer lets readers who ask for the same at the same time have one answer; see
// fresh.Coalescer.
func Coalescer[T any](d *DB) *fresh.Coalescer[T] { return fresh.NewCoalescer[T](d.router) }
