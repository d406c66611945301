package seed

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"example.com/leeway/catalog"
	"example.com/leeway/internal/id"
	"example.com/leeway/internal/web"
)

// The columns of a catalog in CSV, in any order; option:<name> may repeat with
// other names, and the rest must each be there once. See ReadCSV.
var columns = []string{"product_slug", "product_name", "description", "category_path", "sku", "price", "stock"}

const (
	optionColumn = "option:"
	maxErrors    = 20
	maxStock     = 1_000_000_000
)

// ReadCSV reads a catalog with one line for each variant:
//
//	product_slug,product_name,description,category_path,sku,option:color,option:size,price,stock
//	oak-sofa,Oak Sofa,"Seats three.",Home/Living/Sofas,SOFA-1,sand,,1299.00,4
//
// The lines of a product need not be neighbours, but must agree on its name,
// description and category. The path makes the categories that it names. An
// empty option is one that the variant does not have. The price is in major
// units with at most two decimals. Quoting is that of RFC 4180; a byte order
// mark and both line endings are fine.
//
// Every mistake is reported as name:line:column: reason, up to 20 of them joined
// into one error, and then nothing is returned. Ids are new on each call.
func ReadCSV(name string, r io.Reader) (catalog.Import, error) {
	buffered := bufio.NewReader(r)
	if mark, _ := buffered.Peek(3); string(mark) == "\ufeff" {
		_, _ = buffered.Discard(3)
	}
	p := &parser{
		name: name, csv: csv.NewReader(buffered),
		products: map[string]int{}, skus: map[string]int{}, categories: map[string]id.ID{},
		names: map[string]string{},
	}
	p.csv.ReuseRecord = true
	if p.header() {
		for len(p.errs) < maxErrors && p.line() {
		}
	}
	if len(p.errs) > 0 {
		return catalog.Import{}, errors.Join(p.errs...)
	}
	return p.in, nil
}

type parser struct {
	name   string
	csv    *csv.Reader
	column map[string]int // of a name in the header
	option []string       // names, in the order of their columns
	in     catalog.Import
	errs   []error

	products   map[string]int    // slug to index
	skus       map[string]int    // to the line that has it
	categories map[string]id.ID  // by slug
	names      map[string]string // category slug to the path that made it
}

// fail notes a mistake in the field that the column's name stands for.
func (p *parser) fail(column, format string, args ...any) {
	line, at := p.csv.FieldPos(p.column[column])
	p.failAt(line, at, format, args...)
}

func (p *parser) failAt(line, column int, format string, args ...any) {
	if len(p.errs) < maxErrors {
		p.errs = append(p.errs, fmt.Errorf("%s:%d:%d: %s", p.name, line, column, fmt.Sprintf(format, args...)))
	}
}

// read returns nil at the end and after a mistake in the quoting, behind which
// nothing can be told apart any more.
func (p *parser) read() []string {
	record, err := p.csv.Read()
	var syntax *csv.ParseError
	switch {
	case err == nil:
		return record
	case errors.Is(err, csv.ErrFieldCount):
		p.failAt(p.firstLine(), 1, "has %d fields, the header has %d", len(record), p.csv.FieldsPerRecord)
		return record
	case errors.As(err, &syntax):
		p.failAt(syntax.Line, syntax.Column, "%v", syntax.Err)
	case !errors.Is(err, io.EOF):
		p.errs = append(p.errs, fmt.Errorf("%s: %w", p.name, err))
	}
	return nil
}

func (p *parser) firstLine() int {
	line, _ := p.csv.FieldPos(0)
	return line
}

func (p *parser) header() bool {
	record := p.read()
	if record == nil {
		if len(p.errs) == 0 {
			p.failAt(1, 1, "the file is empty; the first line names the columns")
		}
		return false
	}
	p.column = map[string]int{}
	for i, field := range record {
		_, again := p.column[field]
		option, isOption := strings.CutPrefix(field, optionColumn)
		line, at := p.csv.FieldPos(i)
		switch {
		case again:
			p.failAt(line, at, "column %q is there twice", field)
		case isOption && validOption(option):
			p.option = append(p.option, option)
		case !slices.Contains(columns, field):
			p.failAt(line, at, "unknown column %q; there are %s and option:<name>", field, strings.Join(columns, ", "))
		}
		p.column[field] = i
	}
	for _, c := range columns {
		if _, ok := p.column[c]; !ok {
			p.failAt(1, 1, "column %q is missing", c)
		}
	}
	return len(p.errs) == 0
}

func validOption(name string) bool {
	return name != "" && len(name) <= 50 && !strings.Contains(name, ":") && web.CleanText(name, "")
}

// line reads one variant and reports whether there may be more.
func (p *parser) line() bool {
	record := p.read()
	if record == nil {
		return false
	}
	if len(record) != p.csv.FieldsPerRecord {
		return true
	}
	field := func(column string) string { return record[p.column[column]] }
	before := len(p.errs)
	p.texts(field)
	v := catalog.ImportVariant{
		ID: id.New(), SKU: field("sku"), Options: p.options(field),
		Price: p.price(field("price")), Stock: p.stock(field("stock")),
		Source: fmt.Sprintf("%s:%d", p.name, p.firstLine()),
	}
	if len(p.errs) == before {
		p.add(field, v)
	}
	return true
}

// texts checks what the schema would refuse, before the database does.
func (p *parser) texts(field func(string) string) {
	for _, short := range []struct {
		column string
		limit  int
	}{{"product_name", 200}, {"sku", 64}} {
		s := field(short.column)
		if strings.TrimSpace(s) == "" || utf8.RuneCountInString(s) > short.limit || !web.CleanText(s, "") {
			p.fail(short.column, "%s must be 1 to %d characters of one line", short.column, short.limit)
		}
	}
	if s := field("product_slug"); s == "" || s != slug(s) || len(s) > 150 {
		p.fail("product_slug", "product_slug %.40q must be words of a-z and 0-9 with single dashes between", s)
	}
	if s := field("description"); utf8.RuneCountInString(s) > 10000 || !web.CleanText(s, "\r\n\t") {
		p.fail("description", "description must be UTF-8 of at most 10000 characters")
	}
	sku := field("sku")
	if line, taken := p.skus[sku]; taken && sku != "" {
		p.fail("sku", "SKU %q is taken by line %d", sku, line)
	} else {
		p.skus[sku] = p.firstLine()
	}
}

func (p *parser) options(field func(string) string) map[string]string {
	options := map[string]string{}
	for _, name := range p.option {
		value := field(optionColumn + name)
		if utf8.RuneCountInString(value) > 50 || !web.CleanText(value, "") {
			p.fail(optionColumn+name, "option %s must be at most 50 characters of one line", name)
		}
		if value != "" {
			options[name] = value
		}
	}
	return options
}

// price is exact: a float would read 19.99 as 1998.
func (p *parser) price(s string) int64 {
	whole, cents, point := strings.Cut(s, ".")
	digits := whole + (cents + "00")[:2]
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || whole == "" || len(cents) > 2 || point && cents == "" || n > catalog.MaxPrice {
		p.fail("price", "price %.20q must be like 19.99", s)
		return 0
	}
	return int64(n)
}

func (p *parser) stock(s string) int {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n > maxStock {
		p.fail("stock", "stock %.20q must be a whole number from 0 to %d", s, maxStock)
	}
	return int(n)
}
