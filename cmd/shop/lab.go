package main

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/lab"
	"example.com/leeway/internal/pgcluster"
	"example.com/leeway/internal/web"
)

// addControls makes the controls of a demo, with a key of this run, and returns the
// address of the live page that has it. The key is in the fragment, which no browser
// sends and no log has.
func (s *server) addControls(cluster *pgcluster.Cluster, url string) (page string) {
	key := rand.Text() // 26 characters, 130 bits
	s.controls = lab.NewControls(lab.ControlsConfig{
		Key: key, Cluster: cluster, Verbs: labVerbs(clusterDir{cluster.Dir()}),
		Reader: "shop_ro", Shop: url, Log: s.log,
	})
	return url + "/lab#key=" + key
}

// withControls puts what breaks the demo's servers beside the routes of the contract. It
// is a handler of its own, so that only a demo can have it: "shop serve" sets no
// controls, and its router knows none of their paths.
func (s *server) withControls(shop http.Handler) http.Handler {
	if s.controls == nil {
		return shop
	}
	render := web.NewRenderer(s.log)
	demo := s.newMux(render)
	demo.Group(func(r chi.Router) { s.controls.Routes(r, render) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, lab.ControlsPath) {
			demo.ServeHTTP(w, r)
			return
		}
		shop.ServeHTTP(w, r)
	})
}

// endLab may be called more than once.
func (s *server) endLab() {
	s.lab.Close()
	if s.controls != nil {
		s.controls.Close()
	}
}

// labVerbs are those of "shop cluster", with the same care.
func labVerbs(dir clusterDir) map[string]lab.Verb {
	return map[string]lab.Verb{
		"pause": func(n *pgcluster.Node, ctx context.Context) error {
			if err := n.PauseReplay(ctx); err != nil {
				return err
			}
			return dir.writeSomething(ctx)
		},
		"resume": (*pgcluster.Node).ResumeReplay,
		"freeze": (*pgcluster.Node).Freeze,
		"thaw":   (*pgcluster.Node).Thaw,
		"kill":   (*pgcluster.Node).Kill,
		"start":  (*pgcluster.Node).Start,
		"promote": func(n *pgcluster.Node, ctx context.Context) error {
			if err := mayPromote(ctx, dir.Dir, n); err != nil {
				return err
			}
			return n.Promote(ctx)
		},
		"rejoin": (*pgcluster.Node).Rejoin,
	}
}
