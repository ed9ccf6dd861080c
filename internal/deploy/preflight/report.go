package preflight

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Report is what preflight says of all hosts. There is no secret in it, and no text of a file of a host.
type Report struct {
	Jeroboam   string            `json:"jeroboam"` // which build has looked
	Release    string            `json:"release"`
	Generation intent.Generation `json:"generation"`
	Hosts      []Host            `json:"hosts"`
	Problems   []string          `json:"problems"`
}

// Host is what a host is.
type Host struct {
	Name   string `json:"name"`
	Lost   string `json:"lost,omitempty"` // why it was not reached; then there is nothing else
	System string `json:"system,omitempty"`
	Kernel string `json:"kernel,omitempty"`
	// Cgroups is "v1" or "v2", and Controllers are those of the latter; Modules are those that nodes need, with "-" before
	// those that the kernel has not.
	Cgroups     string   `json:"cgroups,omitempty"`
	Controllers []string `json:"controllers,omitempty"`
	AppArmor    bool     `json:"appArmor"`
	Modules     []string `json:"modules,omitempty"`
	CPUs        int      `json:"cpus,omitempty"`
	Memory      uint64   `json:"memory,omitempty"` // bytes
	Free        uint64   `json:"free,omitempty"`   // bytes, where containers are kept
	Clock       string   `json:"clock,omitempty"`  // how far it is ahead of the deployer's
	Nodes       []string `json:"nodes"`
	// Stores are the root file systems of nodes that run and are no directories of the host, with what is free in them.
	Stores     []string `json:"stores,omitempty"`
	Containers int      `json:"containers"`
}

// ReportOf says what was seen, and all that would make a deployment fail. Lost are hosts that were not reached, with
// the reason. Pure.
func ReportOf(in intent.Intent, facts map[string]host.Facts, lost map[string]error) Report {
	r := Report{Release: in.Release, Generation: in.Generation, Hosts: []Host{}, Problems: []string{}}
	for _, h := range in.Hosts {
		one := Host{Name: h.Name, Nodes: []string{}}
		for _, n := range in.Nodes {
			if n.PhysicalHost == h.Name {
				one.Nodes = append(one.Nodes, n.Name)
				if st := facts[h.Name].Stores[n.Name]; st.Kind != "" && st.Kind != "dir" {
					one.Stores = append(one.Stores, fmt.Sprintf("%s: %s, %d GiB free", n.Name, st.Kind, st.Free>>30))
				}
			}
		}
		f, seen := facts[h.Name]
		err := lost[h.Name]
		switch {
		case seen:
			one.fill(f)
		case err != nil:
			one.Lost = err.Error()
			r.Problems = append(r.Problems, one.Lost)
		default:
			continue // no host of the cluster
		}
		r.Hosts = append(r.Hosts, one)
	}
	if err := Check(in, facts); err != nil {
		r.Problems = append(r.Problems, strings.Split(err.Error(), "\n")...)
	}
	return r
}

func (r *Host) fill(f host.Facts) {
	r.System, r.Kernel, r.Cgroups, r.AppArmor = cmp.Or(f.Name, f.ID+" "+f.Version), f.Kernel, "v1", f.AppArmor
	if f.CgroupV2 {
		r.Cgroups, r.Controllers = "v2", f.Controllers
	}
	for name, has := range f.Modules {
		if !has {
			name = "-" + name
		}
		r.Modules = append(r.Modules, name)
	}
	slices.Sort(r.Modules)
	r.CPUs, r.Memory, r.Free, r.Clock, r.Containers = f.CPUs, f.MemoryTotal, f.Free, f.Clock.Ahead.Round(time.Millisecond).String(), len(f.Containers)
}
