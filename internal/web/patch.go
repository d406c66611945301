package web

import (
	"encoding/json"
	"net/http"
	"slices"
)

// Patch is Decode for a body whose members may be left out. The fields of v are
// pointers, and nil is a member that was left out. So null has to be told apart: it
// is refused, but for the members that nullable names, and those that are null are
// returned.
func Patch(w http.ResponseWriter, r *http.Request, v any, nullable ...string) (nulls []string, err error) {
	body, err := Body(w, r)
	if err != nil {
		return nil, err
	}
	if err := Unmarshal(body, v); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, err // v is no struct
	}
	var errs []FieldError
	for name, raw := range members {
		switch {
		case string(raw) != "null":
		case slices.Contains(nullable, name):
			nulls = append(nulls, name)
		default:
			errs = append(errs, FieldError{Pointer: "/" + name, Code: "wrong_type", Detail: "must not be null"})
		}
	}
	if len(errs) > 0 {
		return nil, Invalid(http.StatusUnprocessableEntity, "wrong_type", errs...)
	}
	return nulls, nil
}

// RequiredMatch is IfMatch for what must not be changed blindly: 428 without the
// header. "*" is AnyVersion; who sends it means to be blind.
func RequiredMatch(r *http.Request) (int64, error) {
	version, present, err := IfMatch(r)
	if err == nil && !present {
		err = PreconditionRequired
	}
	return version, err
}
