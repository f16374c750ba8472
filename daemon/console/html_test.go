package console

import (
	"regexp"
	"slices"
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
	rest := page
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
		rest = strings.Replace(rest, m[0], "", 1)
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
