package web

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMembersAreThoseOfEncodingJSON: what is judged must be what is decoded.
func TestMembersAreThoseOfEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, object := range []string{
		`{}`, "{ \r\n\t}", `{"a":1}`, " {\n\t\"a\" : 1 ,\r\n \"b\" : [ 1 , 2 ] } ", `{"":""}`, `{"a":-1.5e+3,"b":true,"c":null}`,
		`{"a":"}","b":"]","c":"{[","d":"a,b:c"}`, `{"a":"\"","b":"\\","c":"\\\"}"}`, `{"a":{"b":{"c":[{}]}},"d":[[],[{}]]}`,
		`{"n\u0061me":1,"\"":2,"\\":3,"\/":4}`, `{"é":"è","\ud83d\ude00":"😀"}`, `{"a":["\\","]"],"b":{"}":"\""}}`,
	} {
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(object), &want); err != nil {
			t.Fatal(err)
		}
		got := map[string]json.RawMessage{}
		var array []json.RawMessage
		for name, value := range members(bytes.TrimSpace([]byte(object))) {
			got[string(name)] = value
			array = append(array, value)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-encoding/json +members)\n%s", object, diff)
		}
		raw, _ := json.Marshal(array)
		var again, compact []json.RawMessage
		for value := range elements(raw) {
			again = append(again, value)
		}
		if _ = json.Unmarshal(raw, &compact); len(array) > 0 && cmp.Diff(compact, again) != "" {
			t.Errorf("%s: elements (-encoding/json +elements)\n%s", raw, cmp.Diff(compact, again))
		}
	}
}
