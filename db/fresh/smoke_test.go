package fresh_test

import (
	"context"
	"testing"
	"time"

	"example.com/leeway/db/fresh"
	"example.com/leeway/internal/dbtest"
)

func TestSmoke(t *testing.T) {
	env := dbtest.New(t)
	var n int
	c := fresh.NewCarrier(fresh.Position{})
	ctx := fresh.WithCarrier(context.Background(), c)
	if err := env.Router.Reader(fresh.Bounded(5*time.Second)).QueryRow(ctx, "SELECT count(*) FROM products").Scan(&n); err != nil {
		t.Fatal(err)
	}
	s, _ := c.Served()
	t.Log(s)
	err := env.Router.Write(ctx, func(ctx context.Context, tx fresh.WriteTx) error {
		_, err := tx.Exec(ctx, "INSERT INTO shoppers (id, token_digest) VALUES (gen_random_uuid(), decode(repeat('ab',32),'hex'))")
		return err
	})
	t.Log(err)
	t.Log(c.Token())
	if err := env.Router.Reader(fresh.Session()).QueryRow(ctx, "SELECT count(*) FROM shoppers").Scan(&n); err != nil || n != 1 {
		t.Fatal(err, n)
	}
	c = fresh.NewCarrier(fresh.Position{})
	ctx = fresh.WithCarrier(context.Background(), c)
	env.Router.Reader(fresh.Session()).QueryRow(ctx, "SELECT count(*) FROM shoppers").Scan(&n)
	s, _ = c.Served()
	t.Log(s)
	t.Log(c.Token())
}
