package web

import (
	"net/http"
	"path"
)

// A Document is an answer that stays the same while the process runs: a page that is
// compiled in, or a file that a page loads.
type Document struct {
	contentType string
	etag        string
	body        []byte
}

// NewDocument returns the document of that name; its ending decides the content type.
func NewDocument(name string, body []byte) Document {
	return Document{contentType(name), DigestTag(body), body}
}

// pagePolicy lets a page load from the shop alone, and nothing inline: no text that a
// page shows can become a script.
const pagePolicy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Send answers with the document, or 304 to those who have it.
func (d Document) Send(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-cache") // the next version of the shop has the same addresses
	if NotModified(w, r, d.etag) {
		return nil
	}
	h.Set("Content-Type", d.contentType)
	return Raw(w, http.StatusOK, d.body)
}

// contentType does not ask the machine's own table, which may be empty.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".json":
		return "application/json"
	case ".svg":
		return "image/svg+xml"
	case ".yaml":
		return "application/yaml"
	}
	return "text/plain; charset=utf-8"
}
