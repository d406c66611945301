package orders

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// TestAnOrderIsWrittenAsEncodingJSONDoes: whatever texts and times are in it.
func TestAnOrderIsWrittenAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		all := []string{"", "Ada", "12 St James's Square", "\u2028", "a<b>&c</b>", `"\`, "Łódź 椅子", "\x00\x7f", "a\xffz", "\n\t"}
		return all[r.IntN(len(all))] + all[r.IntN(len(all))]
	}
	money := func() catalog.Money { return catalog.Money{Amount: r.Int64() - r.Int64(), Currency: text()} }
	moment := func() time.Time { return time.Unix(r.Int64N(200_000_000_000), r.Int64N(1e9)/1000*1000).UTC() }
	status := func() *Status { s := Status(statuses[r.IntN(len(statuses))]); return &s }
	options := []json.RawMessage{
		nil, []byte(`{}`), []byte(`{"color": "dark red", "size": "X < L & \u2028"}`), []byte(" {\"a\": [1,\n2]}\n"),
	}
	for range 5000 {
		o := Order{
			Summary: Summary{
				ID: id.New(), Number: text(), Status: *status(), Totals: Totals{money(), money()}, CreatedAt: moment(), Version: r.Int64(),
			},
			Email: text(), ShippingAddress: Address{text(), text(), text(), text(), text(), text(), text()},
			Items: []Item{}, History: []Step{},
		}
		for range r.IntN(3) {
			at := moment()
			o.ExpiresAt = &at
			o.Items = append(o.Items, Item{id.New(), text(), text(), text(), options[r.IntN(len(options))], r.IntN(999), money(), money()})
			o.History = append(o.History, Step{At: moment(), To: *status(), Reason: text()}, Step{moment(), status(), *status(), text()})
		}
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(o); err != nil {
			t.Fatal(err)
		}
		if got, err := web.Encode(o); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("%s, %v; want\n%s", got, err, &want)
		}
	}
}
