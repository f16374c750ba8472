// Command sbom writes the bill of materials of built programs as CycloneDX 1.7 JSON: what the Go linker put into them, by
// their own build information. It knows nothing of the source.
package main

import (
	"debug/buildinfo"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	version := flag.String("version", "", "version of the programs")
	flag.Parse()
	if err := write(os.Stdout, *version, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// write lists each module once, with the programs that hold it. It has no time and no serial number: the same programs make
// the same file.
func write(w io.Writer, version string, programs []string) error {
	parts := map[string]cdx.Component{}
	var needs []cdx.Dependency
	bom := cdx.NewBOM()
	var ours []cdx.Component
	for _, path := range programs {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read build information: %w", err)
		}
		name := filepath.Base(path)
		ours = append(ours, cdx.Component{Type: cdx.ComponentTypeApplication, BOMRef: name, Name: name, Version: version})
		deps := append([]*debug.Module{{Path: "std", Version: info.GoVersion}}, info.Deps...)
		var refs []string
		for _, m := range deps {
			if m.Replace != nil {
				m = m.Replace
			}
			c := component(m)
			parts[c.BOMRef] = c
			refs = append(refs, c.BOMRef)
		}
		slices.Sort(refs)
		needs = append(needs, cdx.Dependency{Ref: name, Dependencies: &refs})
	}
	bom.Metadata = &cdx.Metadata{Component: &cdx.Component{
		Type: cdx.ComponentTypeApplication, BOMRef: "pinward", Name: "pinward", Version: version, Components: &ours,
		Licenses: &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
	}}
	var all []cdx.Component
	for _, ref := range slices.Sorted(maps.Keys(parts)) {
		all = append(all, parts[ref])
	}
	bom.Components, bom.Dependencies = &all, &needs
	if err := cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return fmt.Errorf("write bill of materials: %w", err)
	}
	return nil
}

func component(m *debug.Module) cdx.Component {
	purl := "pkg:golang/" + m.Path + "@" + m.Version
	c := cdx.Component{Type: cdx.ComponentTypeLibrary, BOMRef: purl, Name: m.Path, Version: m.Version, PackageURL: purl}
	if m.Path == "std" {
		c.Description = "Go standard library"
	}
	return c
}
