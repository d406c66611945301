package orders

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"example.com/leeway/internal/web"
)

// AppendJSON implements web.Appender. TestAnOrderIsWrittenAsEncodingJSONDoes holds each
// byte to what the tags of the types say.
func (o Order) AppendJSON(b []byte) []byte {
	b, _ = o.ID.AppendText(append(b, `{"id":"`...)) // the error is always nil
	b = web.AppendString(append(b, `","number":`...), o.Number)
	b = web.AppendString(append(b, `,"status":`...), string(o.Status))
	b = o.Totals.Subtotal.AppendJSON(append(b, `,"totals":{"subtotal":`...))
	b = o.Totals.Total.AppendJSON(append(b, `,"total":`...))
	if b = append(b, `},"expires_at":`...); o.ExpiresAt == nil {
		b = append(b, "null"...)
	} else {
		b = appendTime(b, *o.ExpiresAt)
	}
	b = appendTime(append(b, `,"created_at":`...), o.CreatedAt)
	b = strconv.AppendInt(append(b, `,"version":`...), o.Version, 10)
	b = web.AppendString(append(b, `,"email":`...), o.Email)
	b = appendAddress(append(b, `,"shipping_address":`...), o.ShippingAddress)
	b = web.AppendArray(append(b, `,"items":`...), o.Items, appendItem)
	b = web.AppendArray(append(b, `,"history":`...), o.History, appendStep)
	return append(b, '}')
}

func appendTime(b []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

func appendAddress(b []byte, a Address) []byte {
	b = web.AppendString(append(b, `{"name":`...), a.Name)
	b = web.AppendString(append(b, `,"line1":`...), a.Line1)
	if a.Line2 != "" {
		b = web.AppendString(append(b, `,"line2":`...), a.Line2)
	}
	b = web.AppendString(append(b, `,"city":`...), a.City)
	b = web.AppendString(append(b, `,"postal_code":`...), a.PostalCode)
	if a.Region != "" {
		b = web.AppendString(append(b, `,"region":`...), a.Region)
	}
	b = web.AppendString(append(b, `,"country":`...), a.Country)
	return append(b, '}')
}

func appendItem(b []byte, i *Item) []byte {
	b, _ = i.VariantID.AppendText(append(b, `{"variant_id":"`...))
	b = web.AppendString(append(b, `","product_slug":`...), i.ProductSlug)
	b = web.AppendString(append(b, `,"name":`...), i.Name)
	b = web.AppendString(append(b, `,"sku":`...), i.SKU)
	b = appendCompact(append(b, `,"options":`...), i.Options)
	b = strconv.AppendInt(append(b, `,"quantity":`...), int64(i.Quantity), 10)
	b = i.UnitPrice.AppendJSON(append(b, `,"unit_price":`...))
	b = i.LineTotal.AppendJSON(append(b, `,"line_total":`...))
	return append(b, '}')
}

// appendCompact leaves out the blanks between the members that jsonb has. What is no JSON
// panics, as web.AppendValue does.
func appendCompact(b []byte, raw json.RawMessage) []byte {
	buf := bytes.NewBuffer(b)
	if err := json.Compact(buf, raw); err != nil {
		return web.AppendValue(b, raw)
	}
	return buf.Bytes()
}

func appendStep(b []byte, s *Step) []byte {
	b = appendTime(append(b, `{"at":`...), s.At)
	if b = append(b, `,"from":`...); s.From == nil {
		b = append(b, "null"...)
	} else {
		b = web.AppendString(b, string(*s.From))
	}
	b = web.AppendString(append(b, `,"to":`...), string(s.To))
	b = web.AppendString(append(b, `,"reason":`...), s.Reason)
	return append(b, '}')
}
