package web

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"example.com/leeway/internal/id"
)

// A shape compares JSON with a Go type and collects a pointer for each misfit.
//
// encoding/json alone cannot do that: DisallowUnknownFields names a field
// without its place, UnmarshalTypeError omits array indexes, a failed
// UnmarshalText has neither, and duplicates and foreign case pass silently.
// The price is that leaves are decoded twice, in at most MaxBody bytes.
type shape struct{ errs []FieldError }

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	number          = reflect.TypeFor[json.Number]() // a string that need not take any
)

func (s *shape) add(pointer, code, detail string) {
	if len(s.errs) < maxFieldErrors {
		s.errs = append(s.errs, FieldError{Pointer: pointer, Code: code, Detail: detail})
	}
}

// value checks raw, which is valid JSON, against t. The recursion is as deep as
// t, not as deep as the body: interfaces and self-decoding types are leaves.
func (s *shape) value(raw json.RawMessage, t reflect.Type, pointer string) {
	if t.Kind() == reflect.Pointer {
		if string(bytes.TrimSpace(raw)) != "null" {
			s.value(raw, t.Elem(), pointer)
		}
		return
	}
	self := reflect.PointerTo(t)
	if self.Implements(jsonUnmarshaler) || self.Implements(textUnmarshaler) {
		s.leaf(raw, t, pointer)
		return
	}
	bytesLike := t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
	switch {
	case t.Kind() == reflect.Struct:
		s.object(raw, fieldTypes(t), nil, pointer)
	case t.Kind() == reflect.Map:
		s.object(raw, nil, t.Elem(), pointer)
	case t.Kind() == reflect.Slice && !bytesLike, t.Kind() == reflect.Array:
		s.array(raw, t, pointer)
	case t.Kind() == reflect.String && raw[0] == '"' && t != number:
		// Fits, whatever it is: nine of ten leaves.
	default:
		s.leaf(raw, t, pointer)
	}
}

// leaf lets encoding/json judge. It ignores null for scalars and text types,
// which would turn {"quantity":null} into 0 unnoticed.
func (s *shape) leaf(raw json.RawMessage, t reflect.Type, pointer string) {
	null := string(bytes.TrimSpace(raw)) == "null"
	if null && t.Kind() != reflect.Interface && t.Kind() != reflect.Slice &&
		!reflect.PointerTo(t).Implements(jsonUnmarshaler) {
		s.add(pointer, "wrong_type", "must not be null")
		return
	}
	if json.Unmarshal(raw, reflect.New(t).Interface()) != nil {
		s.add(pointer, "wrong_type", "must be "+describe(t))
	}
}

// object checks the members of a struct (fields) or of a map (elem).
func (s *shape) object(raw json.RawMessage, fields map[string]reflect.Type, elem reflect.Type, pointer string) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if !s.open(dec, '{', elem != nil, "an object", pointer) {
		return
	}
	seen := map[string]bool{}
	for dec.More() && len(s.errs) < maxFieldErrors {
		token, _ := dec.Token()
		name, _ := token.(string)
		at := pointer + "/" + escapePointer.Replace(name)
		var member json.RawMessage
		if dec.Decode(&member) != nil {
			return // unreachable: the body is valid JSON
		}
		t, known := fields[name]
		if elem != nil {
			t, known = elem, true
		}
		switch {
		case seen[name]:
			s.add(at, "duplicate_field", "must appear once")
		case !known:
			s.add(at, "unknown_field", "is not a field of this object")
		default:
			s.value(member, t, at)
		}
		seen[name] = true
	}
}

func (s *shape) array(raw json.RawMessage, t reflect.Type, pointer string) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if !s.open(dec, '[', t.Kind() == reflect.Slice, "an array", pointer) {
		return
	}
	for i := 0; dec.More() && len(s.errs) < maxFieldErrors; i++ {
		var member json.RawMessage
		if dec.Decode(&member) != nil {
			return // unreachable: the body is valid JSON
		}
		s.value(member, t.Elem(), pointer+"/"+strconv.Itoa(i))
	}
}

// open consumes the delimiter and reports whether members follow.
func (s *shape) open(dec *json.Decoder, delim json.Delim, nullable bool, want, pointer string) bool {
	token, _ := dec.Token()
	if token == nil && nullable {
		return false
	}
	if token != delim {
		s.add(pointer, "wrong_type", "must be "+want)
		return false
	}
	return true
}

// fieldsOf has what fieldTypes found out, by reflect.Type: as many as there are in the program.
var fieldsOf sync.Map

// fieldTypes maps the JSON names of t to their types. VisibleFields also lists
// what embedded structs promote.
func fieldTypes(t reflect.Type) map[string]reflect.Type {
	if fields, ok := fieldsOf.Load(t); ok {
		return fields.(map[string]reflect.Type)
	}
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || tag == "-" || f.Anonymous && tag == "" {
			continue
		}
		if tag == "" {
			tag = f.Name
		}
		fields[tag] = f.Type
	}
	fieldsOf.Store(t, fields)
	return fields
}

// escapePointer is RFC 6901, section 3.
var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

func describe(t reflect.Type) string {
	if t == reflect.TypeFor[id.ID]() {
		return "a UUID of 36 characters"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "an integer of at most " + strconv.Itoa(t.Bits()) + " bits"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a non-negative integer of at most " + strconv.Itoa(t.Bits()) + " bits"
	case reflect.Float32, reflect.Float64:
		return "a number in range"
	}
	return "of the documented form"
}
