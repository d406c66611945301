package web

import (
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
type shape struct {
	at   []step // the way to the value that is looked at
	errs []FieldError
}

// A step leads to a member of an object, or to an element of an array if index is not
// negative.
type step struct {
	name  string
	index int
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	number          = reflect.TypeFor[json.Number]() // a string that need not take any
)

// add notes an error where the shape is at: a JSON pointer, made only for who needs it. Who
// walks over members stops at maxFieldErrors.
func (s *shape) add(code, detail string) {
	var pointer strings.Builder
	for _, step := range s.at {
		pointer.WriteByte('/')
		if step.index >= 0 {
			pointer.WriteString(strconv.Itoa(step.index))
		} else {
			_, _ = escapePointer.WriteString(&pointer, step.name)
		}
	}
	s.errs = append(s.errs, FieldError{Pointer: pointer.String(), Code: code, Detail: detail})
}

// value checks raw, which is valid JSON, against t. The recursion is as deep as
// t, not as deep as the body: interfaces and self-decoding types are leaves.
func (s *shape) value(raw []byte, t reflect.Type) {
	if t.Kind() == reflect.Pointer {
		if string(raw) != "null" {
			s.value(raw, t.Elem())
		}
		return
	}
	self := reflect.PointerTo(t)
	if self.Implements(jsonUnmarshaler) || self.Implements(textUnmarshaler) {
		s.leaf(raw, t)
		return
	}
	bytesLike := t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
	switch {
	case t.Kind() == reflect.Struct:
		s.object(raw, t)
	case t.Kind() == reflect.Map:
		s.mapping(raw, t.Elem())
	case t.Kind() == reflect.Slice && !bytesLike, t.Kind() == reflect.Array:
		s.array(raw, t)
	case t.Kind() == reflect.String && raw[0] == '"' && t != number:
		// Fits, whatever it is: nine of ten leaves.
	default:
		s.leaf(raw, t)
	}
}

// leaf lets encoding/json judge. It ignores null for scalars and text types,
// which would turn {"quantity":null} into 0 unnoticed.
func (s *shape) leaf(raw []byte, t reflect.Type) {
	if string(raw) == "null" && t.Kind() != reflect.Interface && t.Kind() != reflect.Slice &&
		!reflect.PointerTo(t).Implements(jsonUnmarshaler) {
		s.add("wrong_type", "must not be null")
		return
	}
	if json.Unmarshal(raw, reflect.New(t).Interface()) != nil {
		s.add("wrong_type", "must be "+describe(t))
	}
}

// object checks the members of a struct.
func (s *shape) object(raw []byte, t reflect.Type) {
	if raw[0] != '{' {
		s.add("wrong_type", "must be an object")
		return
	}
	fields := fieldsOf(t)
	seen := make([]bool, len(fields))
	for name, member := range members(raw) {
		f, known := fields[string(name)]
		if !known {
			f.name = string(name)
		}
		switch s.at = append(s.at, step{f.name, -1}); {
		case !known:
			s.add("unknown_field", "is not a field of this object")
		case seen[f.number]:
			s.add("duplicate_field", "must appear once")
		default:
			seen[f.number] = true
			s.value(member, f.typ)
		}
		if s.at = s.at[:len(s.at)-1]; len(s.errs) == maxFieldErrors {
			return
		}
	}
}

// mapping checks the members of a map.
func (s *shape) mapping(raw []byte, elem reflect.Type) {
	if raw[0] != '{' {
		s.nullable(raw, "an object")
		return
	}
	seen := map[string]bool{}
	for name, member := range members(raw) {
		s.at = append(s.at, step{string(name), -1})
		if seen[string(name)] {
			s.add("duplicate_field", "must appear once")
		} else {
			seen[string(name)] = true
			s.value(member, elem)
		}
		if s.at = s.at[:len(s.at)-1]; len(s.errs) == maxFieldErrors {
			return
		}
	}
}

func (s *shape) array(raw []byte, t reflect.Type) {
	switch {
	case raw[0] != '[' && t.Kind() == reflect.Slice:
		s.nullable(raw, "an array")
		return
	case raw[0] != '[':
		s.add("wrong_type", "must be an array")
		return
	}
	i := 0
	for element := range elements(raw) {
		s.at = append(s.at, step{index: i})
		s.value(element, t.Elem())
		if s.at = s.at[:len(s.at)-1]; len(s.errs) == maxFieldErrors {
			return
		}
		i++
	}
}

func (s *shape) nullable(raw []byte, want string) {
	if string(raw) != "null" {
		s.add("wrong_type", "must be "+want)
	}
}

// A field is one that JSON may name; number tells those of a type apart, from 0 on.
type field struct {
	name   string
	number int
	typ    reflect.Type
}

// known has what fieldsOf found out, by reflect.Type: as many as there are in the program.
var known sync.Map

// fieldsOf maps the JSON names of t to its fields. VisibleFields also lists what embedded
// structs promote.
func fieldsOf(t reflect.Type) map[string]field {
	if fields, ok := known.Load(t); ok {
		return fields.(map[string]field)
	}
	fields := map[string]field{}
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || tag == "-" || f.Anonymous && tag == "" {
			continue
		}
		if tag == "" {
			tag = f.Name
		}
		number := len(fields)
		if shadowed, ok := fields[tag]; ok {
			number = shadowed.number
		}
		fields[tag] = field{tag, number, f.Type}
	}
	known.Store(t, fields)
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
