package web

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// An Appender appends itself to b as the JSON that encoding/json makes of it, with <, > and
// & as they are. It is for the answers that are asked for most: by reflection, with its ids
// and times marshalled one by one and then read and copied once more, a list of 24 products
// takes three times as long (go test -run - -bench 'List$' ./catalog).
type Appender interface {
	AppendJSON(b []byte) []byte
}

// AppendJSON implements Appender.
func (p Page) AppendJSON(b []byte) []byte {
	b = append(b, `{"limit":`...)
	b = strconv.AppendInt(b, int64(p.Limit), 10)
	b = append(b, `,"next_cursor":`...)
	if p.NextCursor == nil {
		return append(b, "null}"...)
	}
	return append(AppendString(b, *p.NextCursor), '}')
}

// AppendArray appends what one appends of each; nil is an empty array, too.
func AppendArray[T any](b []byte, all []T, one func([]byte, *T) []byte) []byte {
	b = append(b, '[')
	for i := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, &all[i])
	}
	return append(b, ']')
}

// AppendString appends s as a JSON string. What JSON escapes, and what may be no UTF-8, is
// left to encoding/json.
func AppendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return AppendValue(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// AppendValue appends what encoding/json makes of v, and panics if that is an error: v is of
// a type that always has a JSON form.
func AppendValue(b []byte, v any) []byte {
	buf := bytes.NewBuffer(b)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
