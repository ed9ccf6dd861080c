// Package haproxy is the data plane for those who want HAProxy: it writes a configuration that names each backend's
// network namespace, runs a process of its own, reloads it when the configuration has really changed, and starts it
// again when it dies.
package haproxy

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
)

// settings are what a configuration is made from.
type settings struct {
	Socket, PIDFile string
	Binds           []string
	MaxConnections  int
	MaxPerBackend   int
	ConnectTimeout  time.Duration
	HelloTimeout    time.Duration
	Backends        []backend.Backend
}

// configuration is written so that the same backends give the same text, whatever their order. A namespace's generation
// is in it, for a namespace that was made again needs a reload: haproxy holds on to the one it opened.
//
// "timeout tunnel" holds once both sides have spoken. It is as long as haproxy can count, for a watch may be silent for
// hours; keepalive finds peers that are gone.
const configuration = `# Written by "jeroboam proxy"; changes are lost.
global
    stats socket {{.Socket}} mode 600 level operator expose-fd listeners
    pidfile {{.PIDFile}}
    maxconn {{.MaxConnections}}

defaults
    mode tcp
    timeout connect {{ms .ConnectTimeout}}
    timeout client 30s
    timeout server 30s
    timeout tunnel 24d
    option clitcpka
    clitcpka-idle 60s
    clitcpka-intvl 15s
    clitcpka-cnt 8
    option srvtcpka
    srvtcpka-idle 60s
    srvtcpka-intvl 15s
    srvtcpka-cnt 8
    option splice-auto
    retries 2

frontend magnum
{{- range .Binds}}
    bind {{.}}
{{- end}}
    tcp-request inspect-delay {{ms .HelloTimeout}}
    tcp-request content reject if !{ req.ssl_hello_type 1 }
    tcp-request content reject if !{ req.ssl_sni -m found }
    use_backend %[req.ssl_sni,lower]
{{range .Backends}}
backend {{.Host}}
    # generation {{(index .Namespaces 0).Generation}}
    server apiserver {{.Address}} namespace {{(index .Namespaces 0).Name}} maxconn {{$.MaxPerBackend}}
{{end}}`

func render(s settings) (string, error) {
	s.Backends = slices.Clone(s.Backends)
	slices.SortFunc(s.Backends, func(a, b backend.Backend) int { return strings.Compare(a.Stack, b.Stack) })
	t, err := template.New("haproxy.cfg").Funcs(template.FuncMap{"ms": func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }}).Parse(configuration)
	if err != nil {
		return "", err
	}
	for _, b := range s.Backends {
		if err := safe(b); err != nil {
			return "", err
		}
	}
	var out strings.Builder
	err = t.Execute(&out, s)
	return out.String(), err
}

// safe refuses what would be more than a name in the file. Neutron's and Cluster API's names never are.
func safe(b backend.Backend) error {
	for _, name := range []string{b.Stack, b.Namespaces[0].Name} {
		if strings.ContainsFunc(name, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
		}) {
			return fmt.Errorf("%q cannot be written into haproxy's configuration", name)
		}
	}
	return nil
}

// binds are haproxy's words for an address to listen on.
func binds(bind string, port int) ([]string, error) {
	if bind == "" || bind == "*" {
		return []string{"*:" + strconv.Itoa(port), ":::" + strconv.Itoa(port) + " v6only"}, nil
	}
	a, err := netip.ParseAddr(bind)
	if err != nil {
		return nil, fmt.Errorf("address to listen on: %w", err)
	}
	return []string{net.JoinHostPort(a.String(), strconv.Itoa(port))}, nil
}
