package api

import (
	"net/http"
	"net/netip"
	"regexp"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// A Proxies says whose word about the client is believed: which scheme, host and path it used and where it comes from.
// A zero value believes nobody.
type Proxies struct {
	Believe bool           // [oslo_middleware] enable_proxy_headers_parsing
	From    []netip.Prefix // [oslo_middleware] trusted_proxies; empty: whoever connects, as oslo.middleware does
}

// A forwarded client is what a request's links and its line in the log are made from.
type forwarded struct {
	base   string // scheme, host and path in front of /v1
	remote string
}

var (
	forwardedHost   = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]{1,5})?$|^\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?$`)
	forwardedPrefix = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)
)

// client tells how a client reached us. Headers of a proxy that is believed are read as oslo.middleware's
// HTTPProxyToWSGI does: Forwarded (RFC 7239) before X-Forwarded-Proto, -Host and -For, of several values the first, and
// X-Forwarded-Prefix besides. What is no scheme, host or path is passed over.
func (p Proxies) client(r *http.Request) forwarded {
	scheme, host, prefix := "http", r.Host, ""
	if r.TLS != nil {
		scheme = "https"
	}
	remote := r.RemoteAddr
	if p.Believe && p.trusts(r.RemoteAddr) {
		proto, name, from := r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-For")
		if standard := r.Header.Get("Forwarded"); standard != "" {
			proto, name, from = rfc7239(standard)
		}
		if proto = strings.ToLower(first(proto)); proto == "http" || proto == "https" {
			scheme = proto
		}
		if name = first(name); forwardedHost.MatchString(name) {
			host = name
		}
		if from = first(from); from != "" {
			remote = magnum.Shorten(from, 100)
		}
		if at := strings.TrimRight(r.Header.Get("X-Forwarded-Prefix"), "/"); forwardedPrefix.MatchString(at) {
			prefix = at
		}
	}
	return forwarded{base: scheme + "://" + host + prefix, remote: remote}
}

func (p Proxies) trusts(remote string) bool {
	if len(p.From) == 0 {
		return true
	}
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	for _, network := range p.From {
		if network.Contains(at.Addr().Unmap()) {
			return true
		}
	}
	return false
}

func first(list string) string {
	item, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(item)
}

// rfc7239 reads the first element of a Forwarded header.
func rfc7239(header string) (proto, host, from string) {
	for pair := range strings.SplitSeq(first(header), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "proto":
			proto = value
		case "host":
			host = value
		case "for":
			from = value
		}
	}
	return proto, host, from
}
