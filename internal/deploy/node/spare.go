package node

import (
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// Spare is what a physical host should not keep: digests that no bundle needs, and agents of older builds.
func Spare(b site.Bundle) []host.Item {
	return []host.Item{{Kept: &host.Kept{Digests: b.Digests}}, {Builds: &host.Builds{}}}
}

// SpareInside is the same of a node, whose other items say which images it needs.
func SpareInside(items []host.Item) []host.Item {
	return []host.Item{{Builds: &host.Builds{}}, {Pins: &host.Pins{Refs: imageRefs(items)}}}
}

// imageRefs are the images of a place's items.
func imageRefs(items []host.Item) []string {
	var out []string
	for _, i := range items {
		if i.Images != nil {
			for _, img := range i.Images.Images {
				out = append(out, img.Ref)
			}
		}
	}
	return out
}
