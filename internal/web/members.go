package web

import (
	"bytes"
	"encoding/json"
	"iter"
)

// These walk over JSON that is known to be valid (json.Valid), and only then. A
// json.Decoder would do so with an allocation for each token, and read each value anew at
// each level: that was half of what it took to read the form of a checkout.

// members are the names and values of an object, in their order and with duplicates.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		var name, value []byte
		for rest := inside(object); len(rest) > 0; {
			name, rest = cut(rest)
			value, rest = cut(rest)
			if !yield(unquote(name), value) {
				return
			}
		}
	}
}

// elements are the values of an array.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var value []byte
		for rest := inside(array); len(rest) > 0; {
			if value, rest = cut(rest); !yield(value) {
				return
			}
		}
	}
}

// between is what stands between two values.
const between = " \t\r\n,:"

func inside(raw []byte) []byte { return bytes.TrimLeft(raw[1:len(raw)-1], between) }

// cut cuts the value off that raw begins with, and what stands behind it.
func cut(raw []byte) (value, rest []byte) {
	end := endOf(raw)
	return raw[:end], bytes.TrimLeft(raw[end:], between)
}

func endOf(raw []byte) int {
	switch raw[0] {
	case '"':
		return endOfString(raw)
	case '{', '[':
	default:
		if end := bytes.IndexAny(raw, between+"]}"); end >= 0 {
			return end
		}
		return len(raw)
	}
	open := 0
	for i := 0; ; i++ {
		switch raw[i] {
		case '"':
			i += endOfString(raw[i:]) - 1
		case '{', '[':
			open++
		case '}', ']':
			if open--; open == 0 {
				return i + 1
			}
		}
	}
}

func endOfString(raw []byte) int {
	for i := 1; ; i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// unquote leaves escapes to encoding/json, so that both read the same name.
func unquote(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var name string
	_ = json.Unmarshal(quoted, &name) // valid, hence a string
	return []byte(name)
}
