// Package web is the one place where Leeway takes bytes from clients and gives
// bytes to them: strict decoding of bodies, queries and headers, and one path
// for every answer and every problem document (RFC 9457).
//
// A handler returns an error and [Renderer.Handle] turns it into an answer, so
// the translation from error to status exists once per domain, as a table of
// [Mapping]. An error that no table knows is an opaque 500: its text goes to
// the log and never to the client, because it may hold SQL, a row value or a
// host name.
//
// It also keeps clients within bounds: who one is ([ClientAddress]), how many requests
// one may send ([Renderer.RateLimit]) and all may have in flight ([Renderer.InFlight]),
// how many connections there may be ([Conns]). All of that is counted in this process.
//
// What this package does not do: it does not authenticate ([Bearer] only reads
// the header), does not store idempotent answers, does not compress, and knows
// neither the database nor any domain. It promises nothing about answers that
// a handler streams by itself: once a header is out, an error can only be
// logged.
package web
