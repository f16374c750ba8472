package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// TestWrite reads back what it says of this very test program, twice the same.
func TestWrite(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var one, two bytes.Buffer
	for _, w := range []*bytes.Buffer{&one, &two} {
		if err := write(w, "1.2.3", []string{self}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two runs differ")
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(&one, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if bom.SpecVersion != cdx.SpecVersion1_7 || bom.Metadata.Component.Version != "1.2.3" {
		t.Errorf("version %v of %v", bom.SpecVersion, bom.Metadata.Component)
	}
	for _, want := range []string{"pkg:golang/std@go", "pkg:golang/github.com/CycloneDX/cyclonedx-go@v"} {
		if !slices.ContainsFunc(*bom.Components, func(c cdx.Component) bool { return strings.HasPrefix(c.PackageURL, want) }) {
			t.Errorf("no component %s", want)
		}
	}
	if err := write(&two, "", []string{"main.go"}); err == nil {
		t.Error("a source file has no build information")
	}
}
