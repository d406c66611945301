package catalog

import (
	"math"
	"strconv"
	"time"

	"example.com/leeway/internal/web"
)

// The answers that hold many products append themselves; see web.Appender.
// TestListsAreWrittenAsEncodingJSONDoes holds each byte to what the tags of the types say.

// A productList is a page of the product list.
type productList web.List[Summary]

// AppendJSON implements web.Appender.
func (l productList) AppendJSON(b []byte) []byte {
	b = web.AppendArray(append(b, `{"data":`...), l.Data, appendSummary)
	b = l.Page.AppendJSON(append(b, `,"page":`...))
	return append(b, '}')
}

// AppendJSON implements web.Appender.
func (a searchAnswer) AppendJSON(b []byte) []byte {
	b = web.AppendArray(append(b, `{"data":`...), a.Data, appendHit)
	b = append(b, `,"facets":`...)
	if len(a.Facets) == 0 { // as most ask for none
		b = append(b, "[]"...)
	} else {
		b = web.AppendValue(b, a.Facets)
	}
	b = web.AppendValue(append(b, `,"query":`...), a.Query)
	b = a.Page.AppendJSON(append(b, `,"page":`...))
	return append(b, '}')
}

// appendSummary is no method, which a Product would have as well and be written as a part
// of itself.
func appendSummary(b []byte, s *Summary) []byte {
	b, _ = s.ID.AppendText(append(b, `{"id":"`...)) // the error is always nil
	b = web.AppendString(append(b, `","slug":`...), s.Slug)
	b = web.AppendString(append(b, `,"name":`...), s.Name)
	b = s.PriceRange.Min.AppendJSON(append(b, `,"price_range":{"min":`...))
	b = s.PriceRange.Max.AppendJSON(append(b, `,"max":`...))
	b = strconv.AppendBool(append(b, `},"in_stock":`...), s.InStock)
	b = web.AppendString(append(b, `,"category":{"slug":`...), s.Category.Slug)
	b = web.AppendString(append(b, `,"name":`...), s.Category.Name)
	b = s.CreatedAt.AppendFormat(append(b, `},"created_at":"`...), time.RFC3339Nano)
	return append(b, `"}`...)
}

// AppendJSON implements web.Appender.
func (m Money) AppendJSON(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"amount":`...), m.Amount, 10)
	b = web.AppendString(append(b, `,"currency":`...), m.Currency)
	return append(b, '}')
}

func appendHit(b []byte, h *Hit) []byte {
	b = appendSummary(append(b, `{"product":`...), &h.Product)
	b = appendScore(append(b, `,"score":`...), h.Score)
	b = web.AppendString(append(b, `,"highlight":`...), h.Highlight)
	return append(b, '}')
}

// appendScore leaves to encoding/json what it would write with an exponent; a score is
// between the two.
func appendScore(b []byte, score float64) []byte {
	if abs := math.Abs(score); abs < 1e-6 || abs >= 1e21 {
		return web.AppendValue(b, score)
	}
	return strconv.AppendFloat(b, score, 'f', -1, 64)
}
