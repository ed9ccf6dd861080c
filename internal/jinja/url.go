package jinja

import (
	"net/url"
	"strconv"
	"strings"
)

// urlEncode quotes text for a path, where slashes stay; of a mapping or a list of pairs it makes a query: Jinja2's
// urlencode.
func urlEncode(r *run, in any, _ *args) any {
	switch v := in.(type) {
	case *Dict, Mapping:
		d := r.mapping(v)
		pairs := make([]any, 0, d.Len())
		for _, k := range d.keys {
			pairs = append(pairs, &List{Items: []any{k, d.values[slot(k)]}})
		}
		return r.query(pairs)
	case *List:
		return r.query(r.items(v))
	}
	text := url.QueryEscape(r.str(in))
	r.alloc(3 * len(text))
	return strings.ReplaceAll(strings.ReplaceAll(text, "+", "%20"), "%2F", "/")
}

func (r *run) query(pairs []any) string {
	parts := make([]string, 0, len(pairs))
	for _, p := range pairs {
		pair := r.items(p)
		if len(pair) != 2 {
			r.errorf("urlencode: a list must consist of pairs of name and value")
		}
		part := url.QueryEscape(r.str(pair[0])) + "=" + url.QueryEscape(r.str(pair[1]))
		r.alloc(len(part))
		parts = append(parts, part)
	}
	return strings.Join(parts, "&")
}

// urlParts are what Ansible's urlsplit finds. What is not there is nil, where Python says None.
type urlParts struct {
	scheme, netloc, path, query, fragment string
	username, password, hostname, port    any
}

func urlSplit(r *run, in any, a *args) any {
	u, problem := splitURL(r.wantText(in))
	if problem != "" {
		r.errorf("urlsplit: %s", typeName(problem))
	}
	parts := NewDict()
	for _, p := range []struct {
		name  string
		value any
	}{
		{"fragment", u.fragment},
		{"hostname", u.hostname},
		{"netloc", u.netloc},
		{"password", u.password},
		{"path", u.path},
		{"port", u.port},
		{"query", u.query},
		{"scheme", u.scheme},
		{"username", u.username},
	} {
		parts.Set(p.name, p.value)
	}
	which := a.text(0, "query", "")
	if which == "" {
		return parts
	}
	v, ok := parts.Get(which)
	if !ok {
		r.errorf("urlsplit: there is no part %q: fragment, hostname, netloc, password, path, port, query, scheme and username are", which)
	}
	return v
}

// splitURL is Python's urllib.parse.urlsplit, which takes any text for a URL and decodes nothing. The problem says what
// is wrong, and quotes nothing: a URL may hold a password.
func splitURL(s string) (u urlParts, problem string) {
	s = strings.TrimLeftFunc(s, func(c rune) bool { return c <= ' ' })
	s = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(s)
	if i := strings.IndexByte(s, ':'); i > 0 && isScheme(s[:i]) {
		u.scheme, s = strings.ToLower(s[:i]), s[i+1:]
	}
	if rest, ok := strings.CutPrefix(s, "//"); ok {
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		u.netloc, s = rest[:end], rest[end:]
		if strings.Contains(u.netloc, "[") != strings.Contains(u.netloc, "]") {
			return u, "the brackets of an IPv6 address do not match"
		}
	}
	s, u.fragment, _ = strings.Cut(s, "#")
	u.path, u.query, _ = strings.Cut(s, "?")
	host := u.netloc
	if at := strings.LastIndexByte(u.netloc, '@'); at >= 0 {
		host = u.netloc[at+1:]
		username, password, ok := strings.Cut(u.netloc[:at], ":")
		u.username = username
		if ok {
			u.password = password
		}
	}
	return u, u.hostAndPort(host)
}

func isScheme(s string) bool {
	for i, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || (c < '0' || c > '9') && !strings.ContainsRune("+-.", c)) {
			return false
		}
	}
	return true
}

func (u *urlParts) hostAndPort(host string) (problem string) {
	name, port, _ := strings.Cut(host, ":")
	if _, inside, ok := strings.Cut(host, "["); ok {
		name, port, _ = strings.Cut(inside, "]")
		_, port, _ = strings.Cut(port, ":")
	}
	if name != "" {
		before, zone, ok := strings.Cut(name, "%") // a zone keeps its case
		if name = strings.ToLower(before); ok {
			name += "%" + zone
		}
		u.hostname = name
	}
	if port == "" {
		return ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "the port is not a number from 0 to 65535"
	}
	u.port = int(n)
	return ""
}
