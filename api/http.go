package api

import (
	"bytes"
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
	handle := func(find func(*http.Request) (web.Document, bool)) http.HandlerFunc {
		return render.Handle(func(w http.ResponseWriter, r *http.Request) error {
			d, ok := find(r)
			if !ok {
				return web.NotFound
			}
			return d.Send(w, r)
		})
	}
	r.Get("/openapi.yaml", handle(site.at("openapi.yaml")))
	r.Get("/openapi.json", handle(site.at("openapi.json")))
	r.Get("/docs", handle(site.at("docs/index.html")))
	r.Get("/docs/{file}", handle(site.under("docs", "file")))
	r.Get("/problems", handle(site.at("problems")))
	r.Get("/problems/{code}", handle(site.under("problems", "code")))
}

// A site is all documents by their path.
type site map[string]web.Document

func newSite() (site, error) {
	s := site{
		"openapi.yaml": web.NewDocument("openapi.yaml", YAML),
		"openapi.json": web.NewDocument("openapi.json", JSON),
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
		s[name] = web.NewDocument(name, body)
	}
	return s, s.addProblems()
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
		s[name] = web.NewDocument(page, b.Bytes())
		return nil
	}
	for _, p := range all {
		if err := add("problems/"+p.Code, "problem.html", p); err != nil {
			return err
		}
	}
	return add("problems", "problems.html", all)
}

func (s site) at(name string) func(*http.Request) (web.Document, bool) {
	d, ok := s[name]
	return func(*http.Request) (web.Document, bool) { return d, ok }
}

// under finds by a path parameter, which cannot leave the folder: names are looked
// up, not resolved.
func (s site) under(folder, param string) func(*http.Request) (web.Document, bool) {
	return func(r *http.Request) (web.Document, bool) {
		d, ok := s[folder+"/"+chi.URLParam(r, param)]
		return d, ok
	}
}
