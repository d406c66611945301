package orders

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"example.com/leeway/catalog"
	"example.com/leeway/db/readq"
	"example.com/leeway/db/writeq"
	"example.com/leeway/internal/id"
)

const cartOpen = "open"

func (at CartRef) digest() []byte { return at.Shopper.digest[:] }

// matches takes the version that the cart had before this transaction.
func (at CartRef) matches(version int64) bool { return at.Version == 0 || at.Version == version }

// cartRowsTx reads the cart inside a write transaction. Both generated packages
// make the same row type of the shared query file.
func cartRowsTx(ctx context.Context, q *writeq.Queries, at CartRef) ([]readq.CartLinesRow, error) {
	rows, err := q.CartLines(ctx, writeq.CartLinesParams{CartID: at.ID, TokenDigest: at.digest()})
	if err != nil {
		return nil, fmt.Errorf("read cart: %w", err)
	}
	same := make([]readq.CartLinesRow, len(rows))
	for i, row := range rows {
		same[i] = readq.CartLinesRow(row)
	}
	return same, nil
}

// cartOf makes a cart of its rows; no row is ErrNotFound.
func (s *Store) cartOf(rows []readq.CartLinesRow) (Cart, error) {
	if len(rows) == 0 {
		return Cart{}, ErrNotFound
	}
	lines, err := s.linesOf(rows)
	if err != nil {
		return Cart{}, err
	}
	cart := Cart{ID: rows[0].ID, Status: rows[0].Status, Version: rows[0].Version}
	return cart.fill(lines, s.config.Currency)
}

// linesOf skips the one row of an empty cart, whose line columns are all NULL. In
// any other row none is: foreign keys hold the variant and its product.
func (s *Store) linesOf(rows []readq.CartLinesRow) ([]line, error) {
	var lines []line
	for _, r := range rows {
		if r.VariantID == nil {
			continue
		}
		l, err := newLine(Item{
			VariantID: *r.VariantID, ProductSlug: *r.ProductSlug, Name: *r.Name, SKU: *r.Sku,
			Options: r.Options, Quantity: int(*r.Quantity),
		}, s.config.Currency, *r.Price)
		if err != nil {
			return nil, err
		}
		l.priceWhenAdded, l.stock, l.sellable = *r.PriceWhenAdded, *r.StockQuantity, *r.Sellable
		lines = append(lines, l)
	}
	return lines, nil
}

// orderOf makes an order of its rows; no row is ErrNotFound. It has the currency it
// was placed in, whatever the shop sells in today.
func orderOf(key id.ID, rows []readq.OrderLinesRow, history []readq.OrderHistoryRow) (Order, error) {
	if len(rows) == 0 {
		return Order{}, ErrNotFound
	}
	head := rows[0]
	order := Order{
		Summary: newSummary(Summary{ID: key, Status: Status(head.Status), Version: head.Version},
			head.Number, catalog.Money{Amount: head.Total, Currency: head.Currency}, head.ExpiresAt, head.CreatedAt),
		Email: head.Email,
	}
	if err := json.Unmarshal(head.ShippingAddress, &order.ShippingAddress); err != nil {
		return Order{}, fmt.Errorf("order %s: address: %w", key, err)
	}
	for _, r := range rows {
		l, err := newLine(Item{
			VariantID: r.VariantID, ProductSlug: r.ProductSlug, Name: r.Name, SKU: r.Sku,
			Options: r.Options, Quantity: int(r.Quantity),
		}, head.Currency, r.UnitPrice)
		if err != nil {
			return Order{}, fmt.Errorf("order %s: %w", key, err)
		}
		order.Items = append(order.Items, l.Item)
	}
	for _, r := range history {
		order.History = append(order.History, Step{
			At: r.At.UTC(), From: (*Status)(r.FromStatus), To: Status(r.ToStatus), Reason: r.Reason,
		})
	}
	return order, nil
}

func summaryOf(r readq.ShopperOrdersRow) Summary {
	return newSummary(Summary{ID: r.ID, Status: Status(r.Status), Version: r.Version},
		r.Number, catalog.Money{Amount: r.Total, Currency: r.Currency}, r.ExpiresAt, r.CreatedAt)
}

// without compares each with each: at most MaxLines of both.
func without(all, some []id.ID) (rest []id.ID) {
	for _, one := range all {
		if !slices.Contains(some, one) {
			rest = append(rest, one)
		}
	}
	return rest
}
