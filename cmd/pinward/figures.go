package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// figure is one line of /metrics.
type figure struct {
	labels map[string]string
	value  float64
}

// scrape is all of one, by name.
type scrape map[string][]figure

// scrape asks the daemon for its metrics. They need no login, and a box that is not open has some too.
func (c *client) scrape(ctx context.Context) (scrape, error) {
	text, err := c.raw(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	return parseFigures(text)
}

// parseFigures reads the text format of Prometheus, version 0.0.4, as the daemon writes it.
func parseFigures(text []byte) (scrape, error) {
	out := scrape{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		name, f, err := parseFigure(line)
		if err != nil {
			return nil, fmt.Errorf("read metrics: line %d: %w", n, err)
		}
		out[name] = append(out[name], f)
	}
	return out, lines.Err()
}

func parseFigure(line string) (name string, f figure, err error) {
	end := strings.IndexAny(line, "{ ")
	if end <= 0 {
		return "", f, fmt.Errorf("no name")
	}
	name, line = line[:end], line[end:]
	f.labels = map[string]string{}
	for strings.HasPrefix(line, "{") || strings.HasPrefix(line, ",") {
		key, rest, ok := strings.Cut(line[1:], "=")
		if !ok {
			return "", f, fmt.Errorf("label without a value")
		}
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return "", f, fmt.Errorf("label without quotes")
		}
		if f.labels[key], err = strconv.Unquote(quoted); err != nil {
			return "", f, fmt.Errorf("label: %w", err)
		}
		line = rest[len(quoted):]
	}
	f.value, err = strconv.ParseFloat(strings.Trim(line, "} "), 64)
	return name, f, err
}

// has tells whether all of these labels, as pairs, are the figure's.
func (f figure) has(labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		if f.labels[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

// sum adds up the figures of a name that have these labels.
func (fs scrape) sum(name string, labels ...string) (v float64) {
	for _, f := range fs[name] {
		if f.has(labels) {
			v += f.value
		}
	}
	return v
}

// one is the first figure of a name that has these labels.
func (fs scrape) one(name string, labels ...string) (v float64, ok bool) {
	for _, f := range fs[name] {
		if f.has(labels) {
			return f.value, true
		}
	}
	return 0, false
}

// by adds up the figures of a name by the value of a label.
func (fs scrape) by(name, label string, labels ...string) map[string]float64 {
	out := map[string]float64{}
	for _, f := range fs[name] {
		if f.has(labels) {
			out[f.labels[label]] += f.value
		}
	}
	return out
}

// ordered are the keys of such a map.
func ordered(m map[string]float64) []string { return slices.Sorted(maps.Keys(m)) }
