package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// small is a tenth of a tenth of the largest catalog.
const small = 2000

// growth asks how much a catalog slows down that grows tenfold, and again. Each size has
// a database and a shop of its own, or their rounds could not be neighbours in time. What is
// asked is what a statement costs, so each request has its own.
func (w *world) growth(ctx context.Context) (figures []Figure, err error) {
	sizes := []int{100 * small, 10 * small, small}
	if w.Short {
		sizes = sizes[1:] // the largest takes a minute to make
	}
	pages := map[int][]route{}
	shops := map[int]*shop{}
	for _, products := range slices.Backward(sizes) {
		database, took, err := w.fill(ctx, products)
		if err != nil {
			return nil, err
		}
		if took > 0 {
			figures = append(figures, loaded(products, took))
		}
		app, s, err := w.open(ctx, database, database, 1, eachForItself)
		if err != nil {
			return nil, err
		}
		defer app.Stop()
		shops[products] = s
		if pages[products], err = s.growing(ctx); err != nil {
			return nil, err
		}
	}
	for k, r := range pages[small] {
		var sides []side
		for _, products := range sizes {
			sides = append(sides, w.asking(fmt.Sprint(products), w.busy(shops[products].addr, pages[products][k])))
		}
		all, err := w.rounds(ctx, r.name, sides...)
		if err != nil {
			return figures, err
		}
		f := compare(r.name, sides, all, len(sides)-1)
		for i := 1; i < len(sides)-1; i++ {
			f.Detail += fmt.Sprintf(", %s %.0f/s", sides[i].name, median(all[i]))
		}
		if r.name != "search" {
			f.AtLeast = new(0.80)
		}
		figures = append(figures, f)
	}
	return figures, nil
}

func loaded(products int, took time.Duration) Figure {
	s := took.Seconds()
	return Figure{Name: fmt.Sprintf("to load %d products", products), Unit: "s", Median: s, Min: s, Max: s}
}
