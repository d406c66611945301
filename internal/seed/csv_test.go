package seed

import (
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/dbtest"
	"example.com/leeway/internal/id"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func example(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("testdata/catalog.csv")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestReadCSV(t *testing.T) {
	t.Parallel()
	plain := example(t)
	for name, text := range map[string]string{
		"as it is":        plain,
		"byte order mark": "\ufeff" + plain,
		"CRLF":            strings.ReplaceAll(plain, "\n", "\r\n"),
	} {
		in, err := ReadCSV("catalog.csv", strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		pan := catalog.ImportProduct{
			Slug: "copper-frying-pan", Name: "Copper Frying Pan",
			Description: "Heats fast and evenly.\n\nNot for the dishwasher.",
			Options:     []catalog.Option{{Name: "size", Values: []string{"small", "large"}}},
			Variants: []catalog.ImportVariant{
				{SKU: "CFP-S", Options: map[string]string{"size": "small"}, Price: 7995, Stock: 30, Source: "catalog.csv:4"},
				{SKU: "CFP-L", Options: map[string]string{"size": "large"}, Price: 11995, Stock: 8, Source: "catalog.csv:7"},
			},
		}
		if diff := cmp.Diff(pan, in.Products[1], cmpopts.IgnoreTypes(id.ID{})); diff != "" || len(in.Products) != 4 {
			t.Errorf("%s: %d products, the pan (-want +got):\n%s", name, len(in.Products), diff)
		}
		paths := map[id.ID]string{}
		for _, c := range in.Categories {
			paths[c.ID] = strings.TrimPrefix(paths[c.Parent]+"/"+c.Name, "/")
		}
		if got := paths[in.Products[1].Category]; got != "Home/Kitchen/Pans" || len(in.Categories) != 8 {
			t.Errorf("%s: the pan is in %q, of %d categories", name, got, len(in.Categories))
		}
		if gift := in.Products[3].Variants[0]; gift.Price != 2500 || len(gift.Options) != 0 {
			t.Errorf("%s: gift card %+v", name, gift)
		}
	}
}

const head = "product_slug,product_name,description,category_path,sku,option:color,price,stock\n"

func TestReadCSVSaysWhereAndWhy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"", "f:1:1: the file is empty"},
		{"sku,price,sku\n", `f:1:11: column "sku" is there twice`},
		{strings.Replace(head, "stock", "amount", 1), `f:1:76: unknown column "amount"`},
		{strings.Replace(head, ",stock", "", 1), `f:1:1: column "stock" is missing`},
		{strings.Replace(head, "option:color", "option:", 1), `f:1:57: unknown column "option:"`},
		{head + "a,A,,C,1,red,1.00\n", "f:2:1: has 7 fields, the header has 8"},
		{head + "A b,A,,C,1,red,1.00,1\n", "f:2:1: product_slug"},
		{head + "a,,,C,1,red,1.00,1\n", "f:2:3: product_name"},
		{head + "a,A,\x00,C,1,red,1.00,1\n", "f:2:5: description"},
		{head + "a,A,,C//D,1,red,1.00,1\n", "f:2:6: category_path must be names with /"},
		{head + "a,A,,C/茶,1,red,1.00,1\n", `f:2:6: category "茶" has no letter a-z and no digit`},
		{head + "a,A,,,1,red,1.00,1\n", "f:2:6: category_path"},
		{head + "a,A,,C,,red,1.00,1\n", "f:2:8: sku"},
		{head + "a,A,,C,1,red,1.000,1\n", `f:2:14: price "1.000" must be like 19.99`},
		{head + "a,A,,C,1,red,-1,1\n", "f:2:14: price"},
		{head + "a,A,,C,1,red,1.,1\n", "f:2:14: price"},
		{head + "a,A,,C,1,red,.5,1\n", "f:2:14: price"},
		{head + "a,A,,C,1,red,99999999999999999999,1\n", "f:2:14: price"},
		{head + "a,A,,C,1,red,1,-1\n", "f:2:16: stock"},
		{head + "a,A,,C,1,red,1,1.5\n", "f:2:16: stock"},
		{head + "a,A,\"two\nlines\",C,1,red,1,1\nb,B,,C,1,red,1,1\n", `f:4:8: SKU "1" is taken by line 2`},
		{head + "a,A,,C,1,red,1,1\na,B,,C,2,blue,1,1\n", `f:3:3: product a was called "A" before`},
		{head + "a,A,,C,1,red,1,1\na,A,x,C,2,blue,1,1\n", "f:3:5: product a had another description"},
		{head + "a,A,,C,1,red,1,1\na,A,,D,2,blue,1,1\n", "f:3:6: product a was in another category"},
		{head + "a,A,,C,1,red,1,1\na,A,,C,2,red,1,1\n", "f:3:8: product a already has a variant"},
		{head + "a,A,,Tea & Co,1,red,1,1\nb,B,,Tea Co,2,red,1,1\n", "f:3:6: category_path"},
		{head + "a,A,\"x\"y,C,1,red,1,1\n", "f:2:7: extraneous"},
	} {
		in, err := ReadCSV("f", strings.NewReader(test.text))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q:\n%v\nwant %s", test.text, err, test.want)
		}
		if in.Products != nil || in.Categories != nil {
			t.Errorf("%q: returned a part of the catalog beside the error", test.text)
		}
	}
}

func TestReadCSVCollectsTwentyErrors(t *testing.T) {
	t.Parallel()
	for lines, want := range map[int]int{3: 3, 30: maxErrors} {
		_, err := ReadCSV("f", strings.NewReader(head+strings.Repeat("a,A,,C,,red,1,1\n", lines)))
		if got := len(strings.Split(err.Error(), "\n")); got != want {
			t.Errorf("%d bad lines give %d errors, want %d", lines, got, want)
		}
	}
}

// hostileFiles are catalogs, by mistake and on purpose; some of them are fine.
func hostileFiles(t testing.TB) []string {
	row := func(cells ...string) string { return head + strings.Join(cells, ",") + "\n" }
	long := strings.Repeat("大", 50)
	return []string{
		example(t), "\ufeff" + head, head, "", "\n\n", "product_slug\n", strings.ToUpper(head), head + head,
		row("a", "A", "", "C", "1", "red", "1.00", "1"),
		row("a", "A", `"x'; DROP TABLE products; --"`, "C'/D\\", "'", "$1", "0", "0"),
		row("a", "😀", `"a""b
c"`, "Ä b/C", "%", long, "10000000000.00", "1000000000"),
		row("a", "A", "", "C", "1", "red", "10000000000.01", "1"), row("a", "A", "", "C", "1", "red", "1e3", "1"), row("a", "A", "", "C", "1", "red", "-1", "1"),
		row("a", "A", "", "C", "1", "red", "1", "2147483648"), row("a", "A\x00", "", "C", "1", "red", "1", "1"), row("a", "\xff", "", "C", "1", "red", "1", "1"),
		row("a", "A", "", strings.Repeat("C/", 30)+"C", "1", "red", "1", "1"), row("a", "A", "", "/", "1", "red", "1", "1"),
		row("A-", "A", "", "C", "1", "red", "1", "1"), row("a", "A", "", "C", "1", "red", "1", "1", "1"), row("a", `"A`, "", "C", "1", "red", "1", "1"),
		row("a", strings.Repeat("名", 201), "", "C", "1", "", "1", "1"), row("a", "A", "", "C", strings.Repeat("s", 65), "", "1", "1"),
		row("a", "A", "", strings.Repeat("k", 101), "1", "", "1", "1"), row("a", "A", strings.Repeat("d", 10_001), "C", "1", "", "1", "1"),
		row("a", strings.Repeat("名", 200), strings.Repeat("wort ", 2000), strings.Repeat("k", 97)+"/x", strings.Repeat("s", 64), long, "1", "1"),
		head + "a,A,,C,1,red,1,1\na,A,,C,2,red,1,1\n", head + "a,A,,C,1,red,1,1\nb,B,,c,2,red,1,1\n", head + "a,A,,C,1,x,1,1\na,A,,C,2,,1,1\n",
	}
}

// What is accepted is loaded: the database has nothing more to say.
func TestWhatIsReadIsLoaded(t *testing.T) {
	t.Parallel()
	env := dbtest.New(t)
	loaded := 0
	for i, text := range hostileFiles(t) {
		in, err := ReadCSV("f", strings.NewReader(text))
		if err != nil || len(in.Products) == 0 {
			continue
		}
		for p := range in.Products { // each file may have the same
			in.Products[p].Slug += "-" + strconv.Itoa(i)
			for v := range in.Products[p].Variants {
				in.Products[p].Variants[v].SKU = strconv.Itoa(i) + " " + strconv.Itoa(p) + " " + strconv.Itoa(v)
			}
		}
		if err := catalog.New(env.DB, catalog.DefaultConfig()).Load(t.Context(), in, catalog.LoadOptions{Add: true}); err != nil {
			t.Errorf("%.200q: %v", text, err)
		}
		loaded++
	}
	if loaded < 6 {
		t.Errorf("%d files were loaded", loaded)
	}
}

// Whatever is accepted can be loaded: references hold and numbers are in range.
func FuzzReadCSV(f *testing.F) {
	for _, text := range hostileFiles(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in, err := ReadCSV("f", strings.NewReader(text))
		if err != nil {
			return
		}
		categories, skus := map[id.ID]bool{{}: true}, map[string]bool{}
		for _, c := range in.Categories {
			if !categories[c.Parent] || !fits(c.Name, 200) || c.Slug == "" || len(c.Slug) > 100 {
				t.Errorf("category %+v cannot be loaded, or comes before its parent", c)
			}
			categories[c.ID] = true
		}
		for _, p := range in.Products {
			if p.Category.IsZero() || !categories[p.Category] || len(p.Variants) == 0 || p.Slug != slug(p.Slug) || len(p.Slug) > 150 ||
				!fits(p.Name, 200) || p.Description != "" && !fits(p.Description, 10_000) {
				t.Errorf("product %+v cannot be loaded", p)
			}
			for _, v := range p.Variants {
				if skus[v.SKU] || !fits(v.SKU, 64) || v.Price < 0 || v.Price > catalog.MaxPrice || v.Stock < 0 || v.Stock > math.MaxInt32 {
					t.Errorf("variant %+v cannot be loaded", v)
				}
				skus[v.SKU] = true
			}
		}
	})
}

// fits is what the schema wants of a text.
func fits(s string, longest int) bool {
	n := utf8.RuneCountInString(s)
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0) && n >= 1 && n <= longest
}
