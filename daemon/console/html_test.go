package console

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	tag      = regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[a-zA-Z-]+(?:="[^"<]*")?)*)\s*>|<!doctype html>`)
	attrs    = regexp.MustCompile(`([a-zA-Z-]+)(?:="([^"]*)")?`)
	voidTags = []string{"meta", "link", "input", "br", "hr", "img"}
)

// wellFormed holds a page to what browsers otherwise guess: every tag closed in its order, ids used
// once, every field named by a label, every image and frame by a title, every form with its token.
func wellFormed(t testing.TB, what, page string) {
	t.Helper()
	var open []string
	ids, labels := map[string]bool{}, map[string]bool{}
	var fields []string
	form := ""
	rest := tag.ReplaceAllString(page, "")
	for _, m := range tag.FindAllStringSubmatch(page, -1) {
		name := strings.ToLower(m[2])
		at := map[string]string{}
		for _, a := range attrs.FindAllStringSubmatch(m[3], -1) {
			if _, twice := at[a[1]]; twice {
				t.Errorf("%s: <%s> has %s twice", what, name, a[1])
			}
			at[a[1]] = a[2]
		}
		switch {
		case name == "" || slices.Contains(voidTags, name):
		case m[1] == "":
			open = append(open, name)
		case len(open) == 0 || open[len(open)-1] != name:
			t.Errorf("%s: </%s> closes %v", what, name, open)
			return
		default:
			open = open[:len(open)-1]
		}
		if id := at["id"]; id != "" {
			if ids[id] {
				t.Errorf("%s: id %s is used twice", what, id)
			}
			ids[id] = true
		}
		switch name {
		case "label":
			labels[at["for"]] = true
		case "input", "select":
			if at["type"] != "hidden" && m[1] == "" {
				fields = append(fields, at["id"])
			}
			if at["name"] == "csrf" {
				form = ""
			}
		case "form":
			if m[1] == "" && at["method"] == "post" && at["action"] != "/login" && at["action"] != "/logout" {
				form = at["action"]
			} else if m[1] != "" && form != "" {
				t.Errorf("%s: form %s has no token", what, form)
				form = ""
			}
		case "iframe":
			if m[1] == "" && at["title"] == "" {
				t.Errorf("%s: a frame has no title", what)
			}
		}
		if _, inline := at["style"]; inline {
			t.Errorf("%s: <%s> has a style that the policy forbids", what, name)
		}
	}
	if len(open) > 0 {
		t.Errorf("%s: not closed: %v", what, open)
	}
	if strings.ContainsAny(rest, "<") {
		t.Errorf("%s: the test cannot read: %s", what, rest[strings.Index(rest, "<"):])
	}
	for _, f := range fields {
		if f == "" || !labels[f] {
			t.Errorf("%s: field %q has no label", what, f)
		}
	}
	for _, never := range []string{"<script", "javascript:", "onclick", "ZgotmplZ", "<no value>", "%!"} {
		if strings.Contains(page, never) {
			t.Errorf("%s holds %q", what, never)
		}
	}
	if !strings.HasPrefix(page, "<!doctype html>\n<html lang=\"en\">") || strings.Count(page, "<title>") != 1 {
		t.Errorf("%s has no doctype, language or title", what)
	}
	if n := strings.Count(page, "<h1>"); n != 1 && !strings.Contains(page, `<body class="frame">`) {
		t.Errorf("%s has %d first headings", what, n)
	}
}

// TestContrast holds the colours to WCAG 2.2: 4.5 to 1 for text, 3 to 1 for edges and focus.
func TestContrast(t *testing.T) {
	css, err := files.ReadFile("pages/style.css")
	if err != nil {
		t.Fatal(err)
	}
	colours := map[string]string{"white": "#ffffff", "focus": "#b07700", "error": "#fdeeee", "done": "#eaf6ef", "warning": "#fff3d6", "current": "#e3eff1"}
	for _, m := range regexp.MustCompile(`--([a-z]+): (#[0-9a-f]+)`).FindAllStringSubmatch(string(css), -1) {
		if len(m[2]) == 4 {
			m[2] = "#" + strings.Repeat(m[2][1:2], 2) + strings.Repeat(m[2][2:3], 2) + strings.Repeat(m[2][3:4], 2)
		}
		colours[m[1]] = m[2]
	}
	for _, c := range []struct {
		ink, ground string
		least       float64
	}{
		{"ink", "paper", 4.5}, {"ink", "ground", 4.5}, {"soft", "paper", 4.5}, {"soft", "ground", 4.5}, {"main", "paper", 4.5},
		{"main", "ground", 4.5}, {"main", "current", 4.5}, {"white", "main", 4.5}, {"bad", "error", 4.5}, {"good", "done", 4.5},
		{"warn", "warning", 4.5}, {"bad", "paper", 4.5}, {"good", "paper", 4.5}, {"warn", "paper", 4.5}, {"hint", "paper", 4.5},
		{"edge", "paper", 3}, {"focus", "paper", 3}, {"focus", "ground", 3},
	} {
		if !strings.Contains(string(css), colours[c.ink]) && c.ink != "white" || colours[c.ground] == "" {
			t.Errorf("%s or %s is not in the style sheet", c.ink, c.ground)
			continue
		}
		a, b := luminance(t, colours[c.ink]), luminance(t, colours[c.ground])
		if ratio := (max(a, b) + .05) / (min(a, b) + .05); ratio < c.least {
			t.Errorf("%s on %s: %.2f to 1", c.ink, c.ground, ratio)
		}
	}
}

// luminance is the relative luminance of a colour (WCAG 2.2).
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 32)
	if err != nil || len(hex) != 7 {
		t.Fatalf("colour %q", hex)
	}
	part := func(shift int) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
}
