package balancer

import (
	"fmt"
	"slices"
	"strings"
)

// Unsupported is what of a load balancer haproxy in a namespace cannot do, by the id of the object that asks for it.
func Unsupported(l *LoadBalancer) map[string]string {
	out := map[string]string{}
	for _, one := range l.Listeners {
		if !slices.Contains([]string{"TCP", "HTTP", "HTTPS"}, one.Protocol) {
			out[one.ID] = "protocol " + one.Protocol
		}
	}
	for _, p := range l.Pools {
		if !slices.Contains([]string{"TCP", "HTTP", "HTTPS", "PROXY", "PROXYV2"}, p.Protocol) {
			out[p.ID] = "protocol " + p.Protocol
		}
		if m := p.Monitor; m != nil && !slices.Contains([]string{"TCP", "HTTP", "HTTPS", "TLS-HELLO"}, m.Type) {
			out[m.ID] = "health monitor " + m.Type
		}
	}
	return out
}

// Config is haproxy's configuration for a load balancer; "" when there is nothing to listen on.
func Config(l *LoadBalancer, socket string) string {
	bad := Unsupported(l)
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("global\n maxconn 4000\n stats socket %s mode 600 level admin", socket)
	line("defaults\n timeout connect 5s\n timeout client 50s\n timeout server 50s\n option redispatch\n retries 3")
	listening := false
	for _, one := range l.Listeners {
		if !l.Enabled || !one.Enabled || leaving(one.Provisioning) || bad[one.ID] != "" {
			continue
		}
		listening = true
		frontend(line, l, one)
		for _, p := range l.Pools {
			if p.ID == one.Pool && p.Enabled && !leaving(p.Provisioning) && bad[p.ID] == "" {
				line(" default_backend %s:%s", p.ID, one.ID)
				backend(line, one, p, bad)
			}
		}
	}
	if !listening {
		return ""
	}
	return b.String()
}

func mode(protocol string) string {
	if protocol == "HTTP" {
		return "http"
	}
	return "tcp"
}

func frontend(line func(string, ...any), l *LoadBalancer, one Listener) {
	line("frontend %s\n mode %s\n bind %s:%d\n timeout client %dms", one.ID, mode(one.Protocol), l.VIP.Address, one.Port, one.ClientData)
	if one.Limit > 0 {
		line(" maxconn %d", one.Limit)
	}
	if len(one.CIDRs) > 0 {
		line(" tcp-request connection reject unless { src %s }", strings.Join(one.CIDRs, " "))
	}
	if one.Protocol != "HTTP" {
		return
	}
	if strings.EqualFold(one.Headers["X-Forwarded-For"], "true") {
		line(" option forwardfor")
	}
	if strings.EqualFold(one.Headers["X-Forwarded-Port"], "true") {
		line(" http-request set-header X-Forwarded-Port %%[dst_port]")
	}
	if strings.EqualFold(one.Headers["X-Forwarded-Proto"], "true") {
		line(" http-request set-header X-Forwarded-Proto http")
	}
}

// backend is a pool as one listener uses it: its timeouts are the listener's.
func backend(line func(string, ...any), one Listener, p Pool, bad map[string]string) {
	balance := map[string]string{"ROUND_ROBIN": "roundrobin", "LEAST_CONNECTIONS": "leastconn", "SOURCE_IP": "source", "SOURCE_IP_PORT": "source"}[p.Algorithm]
	line("backend %s:%s\n mode %s\n balance %s\n timeout connect %dms\n timeout server %dms", p.ID, one.ID, mode(one.Protocol), balance, one.MemberConnect, one.MemberData)
	switch p.Persistence {
	case "SOURCE_IP":
		line(" stick-table type ip size 10k expire 3h\n stick on src")
	case "HTTP_COOKIE":
		line(" cookie SRV insert indirect nocache")
	case "APP_COOKIE":
		line(" stick-table type string len 64 size 10k expire 3h\n stick store-response res.cook(%s)\n stick match req.cook(%s)", p.Cookie, p.Cookie)
	}
	options := ""
	if m := p.Monitor; m != nil && m.Enabled && !leaving(m.Provisioning) && bad[m.ID] == "" {
		options = monitor(line, *m)
	}
	switch p.Protocol {
	case "PROXY":
		options += " send-proxy"
	case "PROXYV2":
		options += " send-proxy-v2"
	}
	for _, m := range p.Members {
		if !m.Enabled || leaving(m.Provisioning) {
			continue
		}
		more := options
		if m.Backup {
			more += " backup"
		}
		if m.MonitorAddress != "" && strings.Contains(more, " check") {
			more += " addr " + m.MonitorAddress
		}
		if m.MonitorPort != 0 && strings.Contains(more, " check") {
			more += fmt.Sprintf(" port %d", m.MonitorPort)
		}
		if p.Persistence == "HTTP_COOKIE" {
			more += " cookie " + m.ID
		}
		line(" server %s %s:%d weight %d%s", m.ID, m.Address, m.Port, m.Weight, more)
	}
}

// monitor writes a backend's part of a health monitor and returns its servers' part.
func monitor(line func(string, ...any), m Monitor) string {
	line(" timeout check %ds", m.Timeout)
	options := fmt.Sprintf(" check inter %ds fall %d rise %d", m.Delay, m.Fall, m.Rise)
	switch m.Type {
	case "TLS-HELLO":
		line(" option ssl-hello-chk")
	case "HTTP", "HTTPS":
		host := ""
		if m.Domain != "" {
			host = " hdr Host " + m.Domain
		}
		version := m.Version
		if version == 0 {
			version = 1
		}
		line(" option httpchk\n http-check send meth %s uri %s ver HTTP/%.1f%s\n http-check expect status %s", m.Method, m.Path, version, host, strings.ReplaceAll(m.Codes, " ", ""))
		if m.Type == "HTTPS" {
			options += " check-ssl verify none"
		}
	}
	return options
}
