package id_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"example.com/leeway/internal/id"
)

const text = "01900000-0000-7000-8000-00000000abcd"

func TestParseTakesOneSpelling(t *testing.T) {
	t.Parallel()
	got, err := id.Parse(text)
	if err != nil || got.String() != text || got.IsZero() {
		t.Errorf("Parse(%q) = %v, %v", text, got, err)
	}
	for name, other := range map[string]string{
		"empty": "", "capitals": strings.ToUpper(text), "one capital": text[:35] + "D",
		"braces": "{" + text + "}", "URN": "urn:uuid:" + text, "bare digits": strings.ReplaceAll(text, "-", ""),
		"short": text[:35], "no digit": text[:35] + "g", "blank": " " + text[1:], "dash moved": text[:7] + "-" + text[7:8] + text[9:],
	} {
		if got, err := id.Parse(other); err == nil || !got.IsZero() {
			t.Errorf("%s: Parse(%q) = %v, %v; want an error", name, other, got, err)
		}
	}
}

func TestNewOnlyIncreases(t *testing.T) {
	t.Parallel()
	last := id.New()
	for range 10_000 { // many in one millisecond
		next := id.New()
		if next.String() <= last.String() || next.String() >= id.Max.String() {
			t.Fatalf("%s came after %s", next, last)
		}
		last = next
	}
	if last[6]>>4 != 7 || last[8]>>6 != 2 {
		t.Errorf("%s is no UUIDv7", last)
	}
}

func TestAppendText(t *testing.T) {
	t.Parallel()
	v := id.New()
	if got, err := v.AppendText([]byte("id ")); err != nil || string(got) != "id "+v.String() {
		t.Errorf("%s, %v; want %s behind what was there", got, err, v)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	want := map[id.ID]id.ID{id.New(): id.New()} // as a key and as a value
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got map[id.ID]id.ID
	if err := json.Unmarshal(raw, &got); err != nil || len(got) != 1 {
		t.Fatalf("%s came back as %v, %v", raw, got, err)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s came back as %v", raw, got)
		}
	}
	var one id.ID
	if err := json.Unmarshal([]byte(`"`+strings.ToUpper(text)+`"`), &one); err == nil {
		t.Errorf("capitals are read as %s", one)
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	want := id.New()
	value, err := want.UUIDValue()
	if err != nil {
		t.Fatal(err)
	}
	var got id.ID
	if err := got.ScanUUID(value); err != nil || got != want {
		t.Errorf("%s came back as %s, %v", want, got, err)
	}
	if err := got.ScanUUID(pgtype.UUID{}); err == nil || got != want {
		t.Errorf("NULL is scanned as %s, %v; want an error", got, err)
	}
}
