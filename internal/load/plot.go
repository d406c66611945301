package load

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
)

// Plot writes the report as one SVG: latency and answers second by second, and the
// latency of each kind of request by percentile. It needs nothing else to be looked at.
func (r *Report) Plot(out io.Writer) error {
	return plotTemplate.Execute(out, r.plot())
}

// The drawing, in SVG units. Three panels, one above the other.
const (
	plotWidth   = 900.0
	plotLeft    = 70.0
	plotRight   = plotWidth - 150 // the names of the lines stand to the right
	panelHeight = 220.0
	panelGap    = 70.0
	panelTop    = 80.0
)

type plot struct {
	Title, Note   string
	Width, Height float64
	Panels        []panel
}

type panel struct {
	Title                    string
	Left, Right, Top, Bottom float64
	XTicks, YTicks           []tick
	Lines                    []curve
	Marks                    []tick
}

type tick struct {
	At    float64
	Label string
}

type curve struct {
	Name   string
	Color  string
	Dash   string
	Points string
	NameY  float64
}

// Colours that differ also for the colour-blind (Okabe and Ito), and dashes for who
// sees none.
var (
	plotColors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#777777"}
	plotDashes = []string{"none", "6 3", "2 3", "8 3 2 3", "12 4", "4 2", "1 2", "10 2 2 2"}
)

func (r *Report) plot() plot {
	loop := fmt.Sprintf("%s at %g journeys a second", r.Loop, r.Rate)
	if r.Rate == 0 {
		loop = fmt.Sprintf("closed loop of %d clients", r.Clients)
	}
	p := plot{
		Title: fmt.Sprintf("%s, %s", r.Scenario, loop),
		Note:  fmt.Sprintf("%d answers, %.0f a second. Latency counts from when a request was meant to be sent.", r.Requests, r.PerSec),
		Width: plotWidth,
	}
	var p50, p99, top, answers []point
	for _, s := range r.Seconds {
		p50, p99, top = append(p50, point{s.At, s.P50}), append(p99, point{s.At, s.P99}), append(top, point{s.At, s.Max})
		answers = append(answers, point{s.At, float64(s.Requests)})
	}
	p.add("Latency in ms, second by second (before 0: warm-up)", true, []series{{"max", top}, {"p99", p99}, {"p50", p50}}, secondsTicks, r.Marks...)
	p.add("Answers in each second", false, []series{{"answers", answers}}, secondsTicks, r.Marks...)
	var ops []series
	for _, op := range r.Ops {
		ops = append(ops, series{op.Name, op.percentiles()})
	}
	p.add("Latency in ms, by percentile", true, ops, percentileTicks)
	p.Height = panelTop + float64(len(p.Panels))*(panelHeight+panelGap)
	return p
}

type point struct{ x, y float64 }

type series struct {
	name   string
	points []point
}

// percentiles stand at the number of nines: 0 is the 0th, 1 the 90th, 2 the 99th. They
// end where there is one request left.
func (o Op) percentiles() (points []point) {
	for tenth := range 41 {
		nines := float64(tenth) / 10
		points = append(points, point{nines, quantile(o.histogram, 100*(1-math.Pow(10, -nines)))})
		if math.Pow(10, nines) > float64(o.Requests) {
			break
		}
	}
	return points
}

// axis is a vertical one: from low, at 0, to high, at 1.
type axis struct {
	log       bool
	low, high float64
	ticks     []tick
}

func (a axis) place(v float64) float64 {
	if !a.log {
		return v / a.high
	}
	return math.Log10(max(v, a.low)/a.low) / math.Log10(a.high/a.low)
}

func secondsTicks(low, high float64) (ticks []tick) {
	for step := 1.0; ; step *= 2 {
		if (high-low)/step > 12 {
			continue
		}
		for n := math.Ceil(low / step); n*step <= high; n++ {
			ticks = append(ticks, tick{n * step, fmt.Sprintf("%g s", n*step+0)}) // + 0: no "-0"
		}
		return ticks
	}
}

func percentileTicks(_, high float64) []tick {
	all := []tick{{0, "0"}, {1, "90 %"}, {2, "99 %"}, {3, "99.9 %"}, {4, "99.99 %"}}
	return all[:min(len(all), 1+int(high))]
}

// add draws a panel below the others. Without a point it draws none.
func (p *plot) add(title string, log bool, lines []series, xTicks func(low, high float64) []tick, marks ...Mark) {
	left, right := math.Inf(1), math.Inf(-1)
	bottom, top := math.Inf(1), 0.0
	for _, line := range lines {
		for _, at := range line.points {
			left, right = min(left, at.x), max(right, at.x)
			top = max(top, at.y)
			if at.y > 0 {
				bottom = min(bottom, at.y)
			}
		}
	}
	if top == 0 {
		return
	}
	right = max(right, left+1)
	y := panelTop + float64(len(p.Panels))*(panelHeight+panelGap)
	panel := panel{Title: title, Left: plotLeft, Right: plotRight, Top: y, Bottom: y + panelHeight}
	vertical := steps(top)
	if log {
		vertical = decades(bottom, top)
	}
	place := func(v float64) float64 { return panel.Bottom - panelHeight*vertical.place(v) }
	across := func(x float64) float64 { return plotLeft + (plotRight-plotLeft)*(x-left)/(right-left) }
	for _, t := range vertical.ticks {
		panel.YTicks = append(panel.YTicks, tick{place(t.At), t.Label})
	}
	for _, t := range xTicks(left, right) {
		panel.XTicks = append(panel.XTicks, tick{across(t.At), t.Label})
	}
	for _, m := range marks {
		panel.Marks = append(panel.Marks, tick{across(m.At), m.What})
	}
	for i, line := range lines {
		var path strings.Builder
		for _, at := range line.points {
			fmt.Fprintf(&path, "%.1f,%.1f ", across(at.x), place(at.y))
		}
		panel.Lines = append(panel.Lines, curve{
			line.name, plotColors[i%len(plotColors)], plotDashes[i%len(plotDashes)],
			path.String(), panel.Top + 14 + 18*float64(i),
		})
	}
	p.Panels = append(p.Panels, panel)
}

func decades(bottom, top float64) axis {
	first, last := math.Floor(math.Log10(bottom)), math.Ceil(math.Log10(top))
	if last == first {
		last++
	}
	a := axis{log: true, low: math.Pow(10, first), high: math.Pow(10, last)}
	for e := first; e <= last; e++ {
		a.ticks = append(a.ticks, tick{math.Pow(10, e), fmt.Sprintf("%g", math.Pow(10, e))})
	}
	return a
}

func steps(top float64) axis {
	step := math.Pow(10, math.Floor(math.Log10(top)))
	if top/step < 3 {
		step /= 2
	}
	a := axis{high: math.Ceil(top/step) * step}
	for at := 0.0; at <= a.high; at += step {
		a.ticks = append(a.ticks, tick{at, fmt.Sprintf("%g", at)})
	}
	return a
}

var plotTemplate = template.Must(template.New("plot").Parse(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{.Width}} {{.Height}}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="70" y="26" font-size="16" font-weight="bold">{{.Title}}</text>
<text x="70" y="46" fill="#444444">{{.Note}}</text>
{{- range .Panels}}{{$panel := .}}
<text x="{{.Left}}" y="{{.Top}}" dy="-8" font-weight="bold">{{.Title}}</text>
{{- range .YTicks}}
<line x1="{{$panel.Left}}" x2="{{$panel.Right}}" y1="{{.At}}" y2="{{.At}}" stroke="#dddddd"/><text x="{{$panel.Left}}" dx="-8" y="{{.At}}" dy="4" text-anchor="end">{{.Label}}</text>
{{- end}}
{{- range .XTicks}}
<line x1="{{.At}}" x2="{{.At}}" y1="{{$panel.Top}}" y2="{{$panel.Bottom}}" stroke="#eeeeee"/><text x="{{.At}}" y="{{$panel.Bottom}}" dy="18" text-anchor="middle">{{.Label}}</text>
{{- end}}
{{- range .Marks}}
<line x1="{{.At}}" x2="{{.At}}" y1="{{$panel.Top}}" y2="{{$panel.Bottom}}" stroke="#000000"/><text x="{{.At}}" dx="4" y="{{$panel.Top}}" dy="14">{{.Label}}</text>
{{- end}}
{{- range .Lines}}
<polyline fill="none" stroke="{{.Color}}" stroke-width="2" stroke-dasharray="{{.Dash}}" points="{{.Points}}"/>
<text x="{{$panel.Right}}" dx="10" y="{{.NameY}}" fill="{{.Color}}">{{.Name}}</text>
{{- end}}
{{- end}}
</svg>
`))
