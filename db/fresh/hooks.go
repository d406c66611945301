package fresh

import "context"

// Hooks tell a program what the router does, for what this package cannot know: the
// route that a read belongs to, or the trace of its request. They decide nothing. Each
// may be nil and then costs nothing. They are called on the way of every read, by many
// goroutines at once, and must not block.
type Hooks struct {
	// Read is told of each read that leeway_reads_total counts: who answered it, and
	// why. With ReasonShed nobody did. ctx is the caller's.
	Read func(ctx context.Context, served Served)

	// Start is told that a piece of work begins. The context that it returns is the
	// one of the work, and the function, if there is one, is called when the work has
	// ended, unless it panicked. For a commit that may be long after its caller has left.
	Start func(ctx context.Context, w Work) (context.Context, func(Outcome))
}

// Work is a piece of work that may take time.
type Work struct {
	Kind WorkKind
	// SQL is the statement of a WorkRead, as it was given: its arguments are never
	// shown to a hook.
	SQL string
}

// WorkKind names a piece of work.
type WorkKind uint8

// The kinds of work.
const (
	WorkRead     WorkKind = iota // one statement, with the tries at every node and the wait for a connection
	WorkSnapshot                 // likewise of a read transaction
	WorkWrite                    // a transaction, with all its tries
	WorkCommit                   // part of WorkWrite: from COMMIT to its answer, the wait for the standby included
)

var workNames = [...]string{"read", "snapshot", "write", "commit"}

func (k WorkKind) String() string { return workNames[k] }

// Outcome is what came of it.
type Outcome struct {
	// Served says which node has done it, or has failed for good. Its Node is empty if
	// none has; of a read, Reason then says why no replica could.
	Served Served
	// Tries counts the connections that it was tried on. 0: none was to be had.
	Tries int
	Err   error // as the caller gets it
}

func (h Hooks) start(ctx context.Context, w Work) (context.Context, func(Outcome)) {
	if h.Start == nil {
		return ctx, nil
	}
	return h.Start(ctx, w)
}

// count is the one place where a read is counted.
func (r *Router) count(ctx context.Context, n *node, served Served) {
	n.answers[served.Reason].Inc()
	if read := r.config.Hooks.Read; read != nil {
		read(ctx, served)
	}
}
