package web_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/leeway/internal/web"
)

var errNoStock = errors.New("no stock")

// lackError is a domain error with a payload, as insufficient_stock has.
type lackError struct{ available int }

func (e *lackError) Error() string { return "lack" }
func (e *lackError) Unwrap() error { return errNoStock }

var stockTable = web.Mapping{
	Err:     errNoStock,
	Problem: web.Problem{Status: http.StatusConflict, Code: "insufficient_stock"},
	Fill: func(err error, p *web.Problem) {
		if lack, ok := errors.AsType[*lackError](err); ok {
			p.Fields = map[string]any{"available": lack.available, "status": "forged"}
		}
	},
}

func TestErrorBecomesProblem(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	tests := []struct {
		name   string
		ctx    context.Context
		err    error
		status int
		code   string
		level  slog.Level
	}{
		{"a problem", t.Context(), web.NotFound, 404, "not_found", slog.LevelDebug},
		{"a wrapped problem", t.Context(), fmt.Errorf("cart: %w", web.NotFound), 404, "not_found", slog.LevelDebug},
		{"a sentinel of the table", t.Context(), fmt.Errorf("place: %w", errNoStock), 409, "insufficient_stock", slog.LevelDebug},
		{"unknown", t.Context(), errors.New("secret row value"), 500, "internal", slog.LevelError},
		{"deadline", t.Context(), fmt.Errorf("query: %w", context.DeadlineExceeded), 504, "deadline", slog.LevelWarn},
		{"overload", t.Context(), &web.Problem{Status: 503, Code: "overloaded"}, 503, "overloaded", slog.LevelWarn},
		{"client gone", cancelled, fmt.Errorf("query: %w", context.Canceled), 503, "shutting_down", slog.LevelDebug},
		{"client gone, but the table knows better", cancelled, errors.Join(errNoStock, context.Canceled), 409, "insufficient_stock", slog.LevelDebug},
		{"cancelled by the deadline", expired, context.Canceled, 504, "deadline", slog.LevelWarn},
		{"cancelled by a bug of ours", t.Context(), context.Canceled, 500, "internal", slog.LevelError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(tt.ctx, "GET", "/v1/carts/7?q=secret", nil)
			res, log := serve(t, r, func(http.ResponseWriter, *http.Request) error { return tt.err }, stockTable)
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != tt.status || !strings.Contains(string(body), `"code":"`+tt.code+`"`) {
				t.Errorf("got %d %s, want %d %s", res.StatusCode, body, tt.status, tt.code)
			}
			if strings.Contains(string(body), "secret") {
				t.Errorf("leaked: %s", body)
			}
			if len(log) != 1 || log[0]["level"] != tt.level.String() || log[0]["error"] != tt.err.Error() {
				t.Errorf("log = %v, want one line at %s", log, tt.level)
			}
		})
	}
}

func TestDomainTableComesFirst(t *testing.T) {
	t.Parallel()
	log, _ := logger(t)
	base := web.NewRenderer(log, web.Mapping{Err: errNoStock, Problem: web.Problem{Status: 500, Code: "base"}},
		web.Mapping{Err: io.EOF, Problem: web.Problem{Status: 500, Code: "second"}})
	domain := base.With(stockTable)
	if got := domain.Resolve(errNoStock).Code; got != "insufficient_stock" {
		t.Errorf("domain says %q", got)
	}
	if got := domain.Resolve(io.EOF).Code; got != "second" {
		t.Errorf("the base table is not asked: %q", got)
	}
	if got := base.Resolve(errNoStock).Code; got != "base" {
		t.Errorf("With changed its receiver: %q", got)
	}
}

func TestErrorAfterTheHeaderIsOnlyLogged(t *testing.T) {
	t.Parallel()
	res, log := serve(t, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, _ *http.Request) error {
		if err := web.JSON(w, http.StatusCreated, "a"); err != nil {
			return err
		}
		return errors.New("too late")
	})
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 201 || string(body) != "\"a\"\n" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
	if len(log) != 1 || log[0]["answer_started"] != true {
		t.Errorf("log = %v", log)
	}
}

func TestUnencodableAnswerIsA500(t *testing.T) {
	t.Parallel()
	answers := map[string]func(http.ResponseWriter, *http.Request) error{
		"value": func(w http.ResponseWriter, _ *http.Request) error { return web.JSON(w, 200, func() {}) },
		"problem": func(http.ResponseWriter, *http.Request) error {
			return &web.Problem{Status: 409, Code: "x", Fields: map[string]any{"f": func() {}}}
		},
	}
	for name, fn := range answers {
		res, _ := serve(t, httptest.NewRequest("GET", "/", nil), fn)
		if doc := document(t, res); res.StatusCode != 500 || doc["code"] != "internal" {
			t.Errorf("%s: got %d %v", name, res.StatusCode, doc)
		}
	}
}

func TestStoredAnswerIsReplayedByteForByte(t *testing.T) {
	t.Parallel()
	v := map[string]string{"name": "<b>&"}
	stored, err := web.Encode(v)
	if err != nil || string(stored) != "{\"name\":\"<b>&\"}\n" {
		t.Fatalf("Encode = %q, %v", stored, err)
	}
	first, again := httptest.NewRecorder(), httptest.NewRecorder()
	if err := errors.Join(web.JSON(first, 201, v), web.Raw(again, 201, stored)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first.Result().Header, again.Result().Header); diff != "" || first.Body.String() != again.Body.String() {
		t.Errorf("%q, %q, headers %s", first.Body, again.Body, diff)
	}
}

// sqlError is an error of a database, as a driver has it.
type sqlError string

func (e sqlError) Error() string    { return "ERROR: about " + canary + " (SQLSTATE " + string(e) + ")" }
func (e sqlError) SQLState() string { return string(e) }

// What a message of the database may quote is not logged, and the rest is: what was
// being done, and the code.
func TestErrorsAreLoggedWithoutValues(t *testing.T) {
	t.Parallel()
	for code, kept := range map[string]bool{
		"22P02": false, "22001": false, "P0001": false, "XX000": false, "LW001": false, "0A000": false, "": false,
		"42P01": true, "23505": true, "53300": true, "57014": true,
	} {
		_, log := serve(t, httptest.NewRequest("GET", "/", nil), func(http.ResponseWriter, *http.Request) error {
			return fmt.Errorf("place order: %w", errors.Join(sqlError(code), io.EOF))
		})
		text := log[0]["error"].(string)
		if strings.Contains(text, canary) != kept || !strings.HasPrefix(text, "place order: ") || !strings.Contains(text, "SQLSTATE "+code) || !strings.Contains(text, "EOF") {
			t.Errorf("%s: logged %q", code, text)
		}
	}
	_, log := serve(t, httptest.NewRequest("GET", "/", nil), func(http.ResponseWriter, *http.Request) error {
		return web.Invalid(422, "unknown_field", web.FieldError{Pointer: "/" + canary, Code: "unknown_field"})
	})
	if text := log[0]["error"].(string); text != "422 unknown_field; unknown_field" {
		t.Errorf("a problem is logged as %q", text)
	}
}
