package api

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"

	"example.com/leeway/internal/web"
)

var update = flag.Bool("update", false, "add the contract's version to testdata/versions")

const versions = "testdata/versions"

// A contract that changes keeps the name of what somebody else already has. So each
// version is listed once, with its digest, and a listed digest never changes: what
// was edited needs a new version, and -update adds that one only.
func TestAnEditIsANewVersion(t *testing.T) {
	digest := sha256.Sum256(YAML)
	version, now := contractVersion(t), hex.EncodeToString(digest[:])
	listed := map[string]string{}
	text, err := os.ReadFile(versions)
	if err != nil {
		t.Fatal(err)
	}
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		name, digest, _ := strings.Cut(scan.Text(), " ")
		if listed[name] != "" {
			t.Errorf("version %s is listed twice", name)
		}
		listed[name] = digest
	}
	switch was := listed[version]; {
	case was == now:
	case was != "":
		t.Errorf("openapi.yaml was edited and is still version %s. Raise info.version (a new major one if a client could "+
			"break, a minor one if something was added), then run `make generate`.", version)
	case *update:
		if err := os.WriteFile(versions, append(text, version+" "+now+"\n"...), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("version %s of openapi.yaml is not in %s yet. Run `make generate`.", version, versions)
	}
}

func contractVersion(t *testing.T) string {
	t.Helper()
	var doc struct {
		Info struct{ Version string }
	}
	if err := json.Unmarshal(JSON, &doc); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(doc.Info.Version) ||
		!bytes.Contains(YAML, []byte("\n  version: "+doc.Info.Version+"\n")) {
		t.Fatalf("openapi.json has version %q and openapi.yaml another; run `make generate`", doc.Info.Version)
	}
	return doc.Info.Version
}

// The contract is valid OpenAPI, each example included.
func TestTheContractIsValid(t *testing.T) {
	t.Parallel()
	loader := openapi3.NewLoader()
	for name, text := range map[string][]byte{"openapi.yaml": YAML, "openapi.json": JSON} {
		doc, err := loader.LoadFromData(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var handler = sync.OnceValue(func() http.Handler {
	r := chi.NewRouter()
	Routes(r, web.NewRenderer(slog.New(slog.DiscardHandler)))
	return r
})

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return rec
}

// elsewhere are the ways in which a page loads or runs what is not a file of ours.
var (
	elsewhere = regexp.MustCompile(`(?:src|href|action)="[^/"]|="//|https?://`)
	inline    = regexp.MustCompile(`<style|style="|<script>|<script [^>]*>[^<]|\son[a-z]+="|javascript:`)
	loaded    = regexp.MustCompile(`(?:src|href)="(/[^"]*)"`)
)

// Each page keeps the promise of its own policy, and what it refers to is there.
func TestPagesLoadFromTheShopAlone(t *testing.T) {
	t.Parallel()
	all, err := problems(JSON)
	if err != nil {
		t.Fatal(err)
	}
	pages := []string{"/docs", "/problems"}
	for _, p := range all {
		pages = append(pages, "/problems/"+p.Code)
	}
	for _, page := range pages {
		rec := get(t, page)
		if rec.Code != http.StatusOK || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") {
			t.Fatalf("%s: %d %s", page, rec.Code, rec.Header().Get("Content-Type"))
		}
		if got := rec.Header().Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'self';") || strings.Contains(got, "unsafe") {
			t.Errorf("%s: policy %q", page, got)
		}
		body := rec.Body.String()
		for _, bad := range []*regexp.Regexp{elsewhere, inline} {
			if found := bad.FindString(body); found != "" {
				t.Errorf("%s has %q", page, found)
			}
		}
		for _, m := range loaded.FindAllStringSubmatch(body, -1) {
			if to := get(t, m[1]); to.Code != http.StatusOK {
				t.Errorf("%s refers to %s: %d", page, m[1], to.Code)
			}
		}
	}
}

func TestAProblemPageSaysWhatToDo(t *testing.T) {
	t.Parallel()
	page := get(t, "/problems/outcome_unknown").Body.String()
	for _, want := range []string{"<h1>Outcome unknown</h1>", "status 503", "It may have been done", "send the same request again"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing:\n%s", want, page)
		}
	}
}
