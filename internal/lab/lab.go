// Package lab is the live page of the shop: who is the primary, how old each replica may
// be, where reads go and why. It comes with the stream of events behind it, and, for the
// demo alone, with buttons that break the servers and a few shoppers.
//
// The page shows what the shop believes, in the words of /v1/replication, and asks no
// database. What it costs does not grow with its viewers and is nothing without any.
// Totals are what is sent, so that whoever misses an event misses no change.
//
// It promises no complete record: two minutes are kept, in memory, and what happened
// while nobody looked is seen only in what it left. It authenticates nobody; the page
// shows names and states of nodes, as /v1/replication does, and no data of shoppers.
package lab

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/web"
)

//go:embed page
var files embed.FS

// Routes adds the page and the events of the hub. The page is in memory and loads
// nothing from elsewhere.
func Routes(r chi.Router, hub *Hub, render *web.Renderer) {
	documents, err := readPage()
	if err != nil {
		panic(fmt.Sprintf("lab: %v", err)) // the files are compiled in
	}
	r.Get("/v1/replication/events", render.Handle(func(w http.ResponseWriter, r *http.Request) error {
		return hub.Events(w, r)
	}))
	file := func(w http.ResponseWriter, r *http.Request, name string) error {
		d, ok := documents[name]
		if !ok {
			return web.NotFound
		}
		return d.Send(w, r)
	}
	r.Get("/lab", render.Handle(func(w http.ResponseWriter, r *http.Request) error { return file(w, r, "index.html") }))
	r.Get("/lab/{file}", render.Handle(func(w http.ResponseWriter, r *http.Request) error {
		return file(w, r, chi.URLParam(r, "file"))
	}))
}

// readPage reads the page's files, by their names.
func readPage() (map[string]web.Document, error) {
	documents := map[string]web.Document{}
	err := fs.WalkDir(files, "page", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		documents[path.Base(name)] = web.NewDocument(name, body)
		return err
	})
	return documents, err
}
