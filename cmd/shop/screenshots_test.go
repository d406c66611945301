package main

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "write pictures of the live page into this folder, given from the root of the repository")

// TestScreenshots makes the pictures of the documents anew:
//
//	go test ./cmd/shop -run TestScreenshots -screenshots docs/lab
//
// Text looks best where the font Inter is installed (Debian: fonts-inter).
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("makes pictures when it is asked to, with -screenshots DIR")
	}
	folder := *screenshots
	if !filepath.IsAbs(folder) {
		folder = filepath.Join("..", "..", folder)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	_, page, _ := startDemo(t)
	light := open(t, page, screen{width: 1360, height: 900, theme: "light"})
	small := open(t, page, screen{width: 390, height: 844, theme: "light"})
	take := func(b *browser, theme, name string) { b.picture(t, theme, filepath.Join(folder, name+".png")) }

	light.click(t, "[data-do=load]")
	light.see(t, "a minute of shopping", `document.querySelector("#shop-rates").textContent && `+age+" > 60")
	light.ticked(t)
	take(light, "light", "healthy")
	take(small, "dark", "phone-healthy-dark")

	for range 2 {
		light.click(t, "#tour-next")
	}
	light.click(t, "[data-do=pause]")
	light.ticked(t)
	light.see(t, "a lag of 14 seconds", bounds+".every((s) => s > 14)")
	take(light, "light", "lagging")
	take(light, "dark", "lagging-dark")
	take(small, "light", "phone-lagging")

	light.click(t, "#tour-next")
	light.click(t, "[data-do=resume]")
	light.ticked(t)
	light.see(t, "some seconds in order", age+" > 100")
	light.click(t, "#tour-next")
	light.click(t, "[data-do=kill]")
	light.ticked(t)
	light.click(t, "#tour-next")
	light.click(t, "[data-do=promote]")
	light.ticked(t)
	light.click(t, "#tour-next")
	light.click(t, "[data-do=rejoin]")
	light.ticked(t)
	light.see(t, "orders as before", `parseFloat(document.querySelector('#orders-legend [data-key="orders"] strong').textContent) > 5`)
	take(light, "light", "failed-over")
	light.clean(t)
	small.clean(t)
}

// age is for how many seconds there are events.
const age = `Number(document.querySelector("#bound").dataset.seconds)`

// picture takes the whole page, in a theme.
func (b *browser) picture(t *testing.T, theme, file string) {
	t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.see(t, "the theme is "+theme, `matchMedia("(prefers-color-scheme: `+theme+`)").matches && document.querySelector("#theme").textContent === "`+map[string]string{"light": "Dark", "dark": "Light"}[theme]+` theme"`)
	raw, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	shot, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, fewColours(shot)); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 200_000 {
		t.Errorf("%s has %d bytes; pictures in the repository have at most 200,000", file, out.Len())
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fewColours keeps the 256 most frequent colours and takes the nearest of them for the
// others, which makes a picture of text and lines a third as large.
func fewColours(from image.Image) *image.Paletted {
	bounds := from.Bounds()
	flat := image.NewRGBA(bounds)
	draw.Draw(flat, bounds, from, bounds.Min, draw.Src)
	count := map[color.RGBA]int{}
	for i := 0; i < len(flat.Pix); i += 4 {
		count[color.RGBA{flat.Pix[i], flat.Pix[i+1], flat.Pix[i+2], 255}]++
	}
	var colours []color.RGBA
	for c := range count {
		colours = append(colours, c)
	}
	slices.SortFunc(colours, func(a, b color.RGBA) int { return cmp.Compare(count[b], count[a]) })
	var palette color.Palette
	for _, c := range colours[:min(256, len(colours))] {
		palette = append(palette, c)
	}
	to := image.NewPaletted(bounds, palette)
	nearest := map[color.RGBA]uint8{}
	for i := range to.Pix {
		c := color.RGBA{flat.Pix[4*i], flat.Pix[4*i+1], flat.Pix[4*i+2], 255}
		at, ok := nearest[c]
		if !ok {
			at = uint8(palette.Index(c))
			nearest[c] = at
		}
		to.Pix[i] = at
	}
	return to
}
