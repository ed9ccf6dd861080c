package label

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// None of these lets a newline through, and only rePrinted lets a quote, a backslash, a brace or the beginning of a
// YAML construct: it is for names that the cloud has given, which go into Cluster API's objects as JSON and nowhere
// else.
//
// They are compiled when first asked: bounded repeats make them large, and most commands never look at a label.
var (
	rePrinted  = lazy(`^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]{0,253}[^\x00-\x20\x7f])?$`)
	reClaim    = lazy(`^[A-Za-z0-9:/._-][A-Za-z0-9:/._@-]{0,511}$`)
	reInt      = lazy(`^[0-9]{1,9}$`)
	reVersion  = lazy(`^v(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})(-(0|[1-9][0-9]{0,8}|[0-9]{0,9}[A-Za-z-][0-9A-Za-z-]{0,31})(\.(0|[1-9][0-9]{0,8}|[0-9]{0,9}[A-Za-z-][0-9A-Za-z-]{0,31})){0,4})?$`)
	reTag      = lazy(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	reURL      = lazy(`^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/%+:@-]*)?$`)
	reUUID     = lazy(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	reDomain   = lazy(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	reHost     = lazy(`^(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	reRegistry = lazy(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*){0,16}/?$`)
	rePlugin   = lazy(`^[A-Za-z][A-Za-z0-9]{0,62}$`)
	reName     = lazy(`^[a-z0-9][a-z0-9_-]{0,62}$`)
)

func lazy(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

// cipherSuites are the names that kube-apiserver 1.36 takes for --tls-cipher-suites (k8s.io/component-base/cli/flag).
func cipherSuites() []string {
	return []string{
		"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
		"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
		"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
		"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
		"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
		"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
		"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "TLS_ECDHE_RSA_WITH_RC4_128_SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
		"TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_128_CBC_SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256",
		"TLS_RSA_WITH_AES_256_CBC_SHA", "TLS_RSA_WITH_AES_256_GCM_SHA384", "TLS_RSA_WITH_RC4_128_SHA",
	}
}

// wanted says in words what a value of the label must be.
func (l Label) wanted() string {
	w := map[Type]string{
		Text:    "a name as the cloud has it: printable characters without blanks at its ends, at most 255",
		Claim:   "letters, digits and : / . _ @ -, at most 512 characters",
		Bool:    "true or false (also 1, t, on, y, yes; 0, f, off, n, no)",
		Int:     fmt.Sprintf("a number from %d to %d", l.Min, l.Max),
		CIDR:    fmt.Sprintf("an IPv4 network such as 10.0.0.0/%d, its prefix length from %d to %d, without host bits", max(l.Min, min(16, l.Max)), l.Min, l.Max),
		IP:      "an IP address",
		Enum:    "one of " + strings.Join(l.Allowed, ", "),
		Version: "a version vX.Y.Z, for example v1.34.1",
		Tag:     "an image tag: letters, digits and . _ -",
		URL:     "an https URL without user, query and fragment",
		Zone:    "the name of an availability zone: printable characters without blanks at its ends, at most 255",
		UUID:    "a UUID",
		Domain:  "a DNS name in lower case",
		Host:    "a DNS name in lower case or an IP address",
		Path:    "host[:port][/path]",
		Plugin:  "the name of an admission plugin",
		Cipher:  "a TLS cipher suite that Kubernetes knows, for example TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		Name:    "lower case letters, digits, _ and -, at most 63 characters",
	}[l.Type]
	if l.List {
		return "a comma-separated list, each item " + w
	}
	return w
}

// ok tells whether a value is one the label takes. An empty value is "not given" for those types that can say nothing
// else with it, as in Magnum, where container_infra_prefix="" is common.
func (l Label) ok(value string) bool {
	if len(value) > maxBytes {
		return false
	}
	if value == "" {
		return l.emptyOK()
	}
	if !l.List {
		return l.okItem(value)
	}
	items := split(value)
	return len(items) > 0 && len(items) <= maxItems && !slices.ContainsFunc(items, func(s string) bool { return !l.okItem(s) })
}

func (l Label) emptyOK() bool {
	switch l.Type {
	case Bool, Int, CIDR, Version, Tag, Enum, Domain:
		return l.List
	default:
		return true
	}
}

func (l Label) okItem(v string) bool {
	switch l.Type {
	case Bool:
		_, ok := parseBool(v)
		return ok
	case Int:
		n, err := strconv.Atoi(v)
		return reInt().MatchString(v) && err == nil && n >= l.Min && n <= l.Max
	case CIDR:
		p, err := netip.ParsePrefix(v)
		return err == nil && p.Addr().Is4() && p == p.Masked() && p.Bits() >= l.Min && p.Bits() <= l.Max
	case IP:
		return isIP(v)
	case Enum:
		return slices.Contains(l.Allowed, v)
	case Host:
		return isIP(v) || len(v) <= 253 && reHost().MatchString(v)
	case Cipher:
		return slices.Contains(cipherSuites(), v)
	case URL:
		u, err := url.Parse(v)
		return len(v) <= 2048 && reURL().MatchString(v) && err == nil && u.Hostname() != ""
	case Domain:
		return len(v) <= 190 && reDomain().MatchString(v)
	default:
		re := map[Type]func() *regexp.Regexp{
			Text: rePrinted, Claim: reClaim, Version: reVersion, Tag: reTag, Zone: rePrinted, UUID: reUUID,
			Path: reRegistry, Plugin: rePlugin, Name: reName,
		}[l.Type]
		return re != nil && re().MatchString(v)
	}
}

func isIP(v string) bool {
	a, err := netip.ParseAddr(v)
	return err == nil && a.Zone() == ""
}

// parseBool reads a bool as oslo.utils strutils.bool_from_string(strict=True): case and surrounding space do not count.
func parseBool(v string) (value, ok bool) {
	switch strings.ToLower(strings.Trim(v, " ")) {
	case "1", "t", "true", "on", "y", "yes":
		return true, true
	case "0", "f", "false", "off", "n", "no":
		return false, true
	}
	return false, false
}

// split reads a comma-separated list; spaces around items and empty items do not count.
func split(v string) []string {
	var items []string
	for s := range strings.SplitSeq(v, ",") {
		if s = strings.Trim(s, " "); s != "" {
			items = append(items, s)
		}
	}
	return items
}
