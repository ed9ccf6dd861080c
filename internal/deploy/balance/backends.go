package balance

import (
	"context"
	"encoding/csv"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Backend is a server of a service at a load balancer. On metal hosts one name is a server of several services.
type Backend struct {
	Balancer string `json:"balancer"`
	Service  string `json:"service,omitempty"`
	Server   string `json:"server"`
	Status   string `json:"status"`
	Check    string `json:"check"`
}

// At asks load balancers for their servers, with Magnum's if that is asked for. All says that all of them answered.
func At(ctx context.Context, h site.Hosts, balancers []intent.HAProxyHost, magnum bool) (found []Backend, all bool) {
	all = true
	for _, b := range balancers {
		text, err := site.Ask[string](ctx, h, site.At(b.Where()), host.OpStats, "show stat")
		if err != nil {
			found, all = append(found, Backend{Balancer: b.Name, Status: err.Error()}), false
			continue
		}
		services := b.Services
		if magnum {
			services = slices.Concat(services, b.Magnum)
		}
		for _, svc := range services {
			found = append(found, backends(b.Name, svc.Name, text)...)
		}
	}
	return found, all
}

// backends reads haproxy's "show stat" (its management guide, section 9.1).
func backends(balancer, service, text string) []Backend {
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(strings.TrimSpace(text), "# "))).ReadAll()
	if err != nil || len(rows) == 0 {
		return []Backend{{Balancer: balancer, Service: service, Status: "haproxy's answer cannot be read"}}
	}
	at := func(name string) int { return slices.Index(rows[0], name) }
	px, sv, status, check := at("pxname"), at("svname"), at("status"), at("check_status")
	if px < 0 || sv < 0 || status < 0 || check < 0 {
		return []Backend{{Balancer: balancer, Service: service, Status: "haproxy's answer lacks columns"}}
	}
	proxy := backendOf(service)
	var out []Backend
	for _, r := range rows[1:] {
		if len(r) > max(px, sv, status, check) && r[px] == proxy && r[sv] != "BACKEND" && r[sv] != "FRONTEND" {
			out = append(out, Backend{Balancer: balancer, Service: service, Server: r[sv], Status: r[status], Check: strings.TrimPrefix(r[check], "* ")})
		}
	}
	return out
}
