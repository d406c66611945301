package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"path"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/web"
)

// Routes adds the contract and the pages that explain it. All of it is in memory.
// It panics when the files in this package do not fit each other, as
// template.Must would: they are compiled in.
func Routes(r chi.Router, render *web.Renderer) {
	site, err := newSite()
	if err != nil {
		panic(fmt.Sprintf("api: %v", err))
	}
	handle := func(find func(*http.Request) (document, bool)) http.HandlerFunc {
		return render.Handle(func(w http.ResponseWriter, r *http.Request) error {
			d, ok := find(r)
			if !ok {
				return web.NotFound
			}
			return d.send(w, r)
		})
	}
	r.Get("/openapi.yaml", handle(site.at("openapi.yaml")))
	r.Get("/openapi.json", handle(site.at("openapi.json")))
	r.Get("/docs", handle(site.at("docs/index.html")))
	r.Get("/docs/{file}", handle(site.under("docs", "file")))
	r.Get("/problems", handle(site.at("problems")))
	r.Get("/problems/{code}", handle(site.under("problems", "code")))
}

// A document is an answer that stays the same while the process runs.
type document struct {
	contentType string
	etag        string
	body        []byte
}

func newDocument(contentType string, body []byte) document {
	digest := sha256.Sum256(body)
	return document{contentType, `"` + hex.EncodeToString(digest[:12]) + `"`, body}
}

// policy lets a page load from the shop alone, and nothing inline: no text of the
// contract can become a script.
const policy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (d document) send(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-cache") // the next version of the shop has the same addresses
	if web.NotModified(w, r, d.etag) {
		return nil
	}
	h.Set("Content-Type", d.contentType)
	return web.Raw(w, http.StatusOK, d.body)
}

// A site is all documents by their path.
type site map[string]document

func newSite() (site, error) {
	s := site{
		"openapi.yaml": newDocument("application/yaml", YAML),
		"openapi.json": newDocument("application/json", JSON),
	}
	entries, err := files.ReadDir("docs")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		name := path.Join("docs", entry.Name())
		body, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		s[name] = newDocument(contentType(name), body)
	}
	return s, s.addProblems()
}

// contentType does not ask the machine's own table, which may be empty.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "text/plain; charset=utf-8"
}

// addProblems makes the pages that the type of a problem is the address of.
func (s site) addProblems() error {
	all, err := problems(JSON)
	if err != nil {
		return err
	}
	pages, err := template.ParseFS(files, "templates/*.html")
	if err != nil {
		return err
	}
	add := func(name, page string, data any) error {
		var b bytes.Buffer
		if err := pages.ExecuteTemplate(&b, page, data); err != nil {
			return err
		}
		s[name] = newDocument(contentType(page), b.Bytes())
		return nil
	}
	for _, p := range all {
		if err := add("problems/"+p.Code, "problem.html", p); err != nil {
			return err
		}
	}
	return add("problems", "problems.html", all)
}

func (s site) at(name string) func(*http.Request) (document, bool) {
	d, ok := s[name]
	return func(*http.Request) (document, bool) { return d, ok }
}

// under finds by a path parameter, which cannot leave the folder: names are looked
// up, not resolved.
func (s site) under(folder, param string) func(*http.Request) (document, bool) {
	return func(r *http.Request) (document, bool) {
		d, ok := s[folder+"/"+chi.URLParam(r, param)]
		return d, ok
	}
}
