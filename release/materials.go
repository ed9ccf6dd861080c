package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// materials writes a CycloneDX document of the modules that are linked into a binary, as the binary itself says.
func (r *release) materials(_ context.Context, program, arch string) (err error) {
	built, err := buildinfo.ReadFile(r.binary(program, arch))
	if err != nil {
		return fmt.Errorf("read how it was built: %w", err)
	}
	subject := component(cdx.ComponentTypeApplication, built.Main.Path, r.commit.version)
	subject.Name = program
	document := cdx.NewBOM()
	document.Metadata = &cdx.Metadata{Timestamp: r.commit.time.Format(time.RFC3339), Component: &subject}
	parts := []cdx.Component{component(cdx.ComponentTypeLibrary, "std", strings.TrimPrefix(built.GoVersion, "go"))}
	for _, dep := range built.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		if strings.HasPrefix(dep.Path, ".") {
			continue // of this repository
		}
		parts = append(parts, component(cdx.ComponentTypeLibrary, dep.Path, dep.Version))
	}
	slices.SortFunc(parts, func(a, b cdx.Component) int { return strings.Compare(a.PackageURL, b.PackageURL) })
	document.Components = &parts
	f, err := os.Create(r.name(program, arch, ".cdx.json"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return cdx.NewBOMEncoder(f, cdx.BOMFileFormatJSON).SetPretty(true).Encode(document)
}

func component(kind cdx.ComponentType, path, version string) cdx.Component {
	url := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cdx.Component{Type: kind, BOMRef: url, Name: path, Version: version, PackageURL: url}
}
