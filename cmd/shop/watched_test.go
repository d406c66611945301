package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// An expression is PromQL with the labels that its text counts on, and where it is from.
type expression struct{ where, promql, text string }

type alertRule struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func alertRules(t *testing.T) (rules []alertRule) {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alertRule }
	}
	text, err := os.ReadFile("../../deploy/prometheus/alerts.yml")
	if err == nil {
		err = yaml.Unmarshal(text, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

type dashboard struct {
	Panels []struct {
		ID      int
		Title   string
		Type    string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, LegendFormat string }
	}
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
	Annotations struct{ List []struct{ Expr string } }
}

func theDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/dashboards/leeway.json")
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// watched: every selector of the dashboard and of the alerts selects something of what
// a shop in trouble serves, and every label that they print is there.
func watched(t *testing.T, all served) {
	var expressions []expression
	for _, r := range alertRules(t) {
		text := r.Annotations["summary"] + r.Annotations["cause"] + r.Annotations["remedy"]
		expressions = append(expressions, expression{r.Alert, r.Expr, text})
	}
	d := theDashboard(t)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			expressions = append(expressions, expression{p.Title, target.Expr, target.LegendFormat})
		}
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			expressions = append(expressions, expression{"$" + v.Name, labelValues.ReplaceAllString(v.Query, "sum by ($2) ($1)"), ""})
		}
	}
	if len(expressions) < 50 {
		t.Fatalf("only %d expressions were found", len(expressions))
	}
	for _, e := range expressions {
		for _, complaint := range e.check(all) {
			t.Errorf("%s: %s: %s", e.where, complaint, e.promql)
		}
	}
}

var (
	labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	selector    = regexp.MustCompile(`([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?\s*(\(?)`)
	matcher     = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping    = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	window      = regexp.MustCompile(`\[[^\]]*\]|\boffset\s+\w+`)
	printed     = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z]+)\s*(?:\|[^}]*)?\}\}`)
	operators   = []string{"and", "or", "unless", "bool", "le"}
)

// check reads as much PromQL as is written here: what is no function, no operator and
// no list of labels is a metric.
func (e expression) check(all served) (complaints []string) {
	labels, grouped := []string{"job", "instance", "le"}, []string(nil)
	rest := window.ReplaceAllString(e.promql, "")
	for _, m := range grouping.FindAllStringSubmatch(rest, -1) {
		if m[1] == "by" {
			grouped = append(grouped, strings.Split(strings.ReplaceAll(m[2], " ", ""), ",")...)
		}
	}
	for _, m := range selector.FindAllStringSubmatch(grouping.ReplaceAllString(rest, ""), -1) {
		if m[3] == "(" || slices.Contains(operators, m[1]) {
			continue
		}
		found, ok := all.find(m[1])
		switch {
		case m[1] == "up":
		case !ok:
			complaints = append(complaints, "no metric "+m[1])
		case !found.selects(m[2]):
			complaints = append(complaints, "nothing has {"+m[2]+"}")
		}
		labels = append(labels, found.labels...)
	}
	for _, name := range grouped {
		if !slices.Contains(labels, name) {
			complaints = append(complaints, "no label "+name)
		}
	}
	if grouped != nil {
		labels = grouped
	}
	for _, m := range printed.FindAllStringSubmatch(e.text, -1) {
		if !slices.Contains(labels, m[1]) {
			complaints = append(complaints, "prints "+m[1]+", which it has not")
		}
	}
	return complaints
}

// find also knows the parts of a histogram.
func (s served) find(name string) (family, bool) {
	if f, ok := s[name]; ok {
		return f, true
	}
	for _, part := range []string{"_bucket", "_count", "_sum"} {
		if base, ok := strings.CutSuffix(name, part); ok && s[base].kind == "histogram" {
			return s[base], true
		}
	}
	return family{}, false
}

// selects reports whether some series has what the matchers ask for. job and instance
// are given by Prometheus.
func (f family) selects(matchers string) bool {
	return slices.ContainsFunc(f.series, func(labels map[string]string) bool {
		for _, m := range matcher.FindAllStringSubmatch(matchers, -1) {
			value, ok := labels[m[1]]
			if m[1] == "job" || m[1] == "instance" {
				continue
			}
			equal := value == m[3]
			if strings.HasSuffix(m[2], "~") {
				equal = regexp.MustCompile("^(?:" + m[3] + ")$").MatchString(value)
			}
			if !ok || equal == strings.HasPrefix(m[2], "!") {
				return false
			}
		}
		return true
	})
}

// An alert that wakes somebody says why, and what to do.
func TestAlertsSayWhatToDo(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	fired, err := os.ReadFile("../../deploy/prometheus/alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range alertRules(t) {
		for _, name := range []string{"summary", "cause", "remedy", "runbook"} {
			if r.Annotations[name] == "" {
				t.Errorf("%s has no %s", r.Alert, name)
			}
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has the severity %q", r.Alert, s)
		}
		section, ok := strings.CutPrefix(r.Annotations["runbook"], "docs/metrics.md#")
		if !ok || !strings.Contains(strings.ToLower(string(page)), "\n## "+section+"\n") {
			t.Errorf("%s refers to %q, which is not there", r.Alert, r.Annotations["runbook"])
		}
		for _, want := range []string{"exp_samples: []", "value: 1"} {
			test := regexp.MustCompile(`(?s)- name: ` + r.Alert + `\n.*?\n  - name|- name: ` + r.Alert + `\n.*$`).FindString(string(fired))
			if !strings.Contains(test, want) || !strings.Contains(test, `ALERTS{alertname="`+r.Alert+`"`) {
				t.Errorf("alerts_test.yml has no %q for %s", want, r.Alert)
			}
		}
	}
}

// Panels have names of their own, and none lies upon another.
func TestTheDashboardIsWellFormed(t *testing.T) {
	t.Parallel()
	ids, places := map[int]string{}, map[[2]int]string{}
	for _, p := range theDashboard(t).Panels {
		if ids[p.ID] != "" || p.Title == "" {
			t.Errorf("panel %d, %q: its number is that of %q", p.ID, p.Title, ids[p.ID])
		}
		if ids[p.ID] = p.Title; p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%q shows nothing", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := places[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q lies upon %q, or beside the page", p.Title, other)
				}
				places[[2]int{x, y}] = p.Title
			}
		}
	}
}
