package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// An encoder is borrowed for one answer, since the buffer of a list would otherwise
// grow anew for each of them.
type encoder struct {
	buf  bytes.Buffer
	json *json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.json = json.NewEncoder(&e.buf)
	// <, > and & stay as they are; nosniff and the content type keep them from being
	// markup.
	e.json.SetEscapeHTML(false)
	return e
}}

// maxKept bounds what a buffer may keep of the largest answer that it ever had; a page
// of 100 products has about 35 kB.
const maxKept = 64 << 10

// encode calls use with v as JSON, which is gone when use returns.
func encode(v any, use func(body []byte) error) error {
	e := encoders.Get().(*encoder)
	defer func() {
		if e.buf.Cap() <= maxKept {
			e.buf.Reset()
			encoders.Put(e)
		}
	}()
	if a, ok := v.(Appender); ok {
		e.buf.Write(append(a.AppendJSON(e.buf.AvailableBuffer()), '\n'))
	} else if err := e.json.Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return use(e.buf.Bytes())
}

// Encode returns v as JSON with one newline at the end: the exact bytes that
// JSON sends, for those who send an answer more than once.
func Encode(v any) (body []byte, err error) {
	err = encode(v, func(b []byte) error {
		body = slices.Clone(b)
		return nil
	})
	return body, err
}

// Tagged answers 200 with a JSON body, or 304 to those who have it by its tag.
//
// A browser may keep the answer if it asks each time whether it still holds; a
// shared cache may not, since an answer can carry its reader's token.
func Tagged(w http.ResponseWriter, r *http.Request, tag string, body []byte) error {
	w.Header().Set("Cache-Control", "private, no-cache")
	if NotModified(w, r, tag) {
		return nil
	}
	return Raw(w, http.StatusOK, body)
}

// DigestTag is a strong ETag (RFC 9110, section 8.8.3): 96 bits of the body's digest.
func DigestTag(body []byte) string {
	digest := sha256.Sum256(body)
	return `"` + hex.EncodeToString(digest[:12]) + `"`
}
