package deploy

import "github.com/jeroboam-cloud/jeroboam/internal/deploy/site"

// Running are the places in containers that run.
func (w Wanted) Running() []site.Place {
	var out []site.Place
	for _, p := range w.Places {
		if p.Container != "" && w.Facts[p.Host].Containers[p.Container] {
			out = append(out, p)
		}
	}
	return out
}
