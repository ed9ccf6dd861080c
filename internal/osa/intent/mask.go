package intent

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// mask hides secrets within a text.
func (in Intent) mask(text string) string {
	for _, s := range in.secrets {
		text = strings.ReplaceAll(text, s, mask)
	}
	return maskURLs(text)
}

// Mask hides what is secret in a text that was made of fields, such as a rendered file.
func (in Intent) Mask(text string) string { return in.Masker()(text) }

// Masker hides what is secret in texts that were made of fields or read on hosts: plans, progress, errors. Besides the
// secrets themselves these are their lines, since a difference has one line at a time, the forms in which JSON and
// systemd's units write them, and every password of a URL, whoever wrote it: a host may still have one that the
// configuration no longer knows.
func (in Intent) Masker() func(string) string {
	forms := map[string]bool{}
	for _, s := range in.Secrets() {
		forms[s] = true
		for line := range strings.Lines(s) {
			if line = strings.TrimSpace(line); len(line) >= shortestLine && !strings.HasPrefix(line, "-----") {
				forms[line] = true
			}
		}
	}
	for _, s := range slices.Collect(maps.Keys(forms)) {
		quoted, _ := json.Marshal(s) // a text
		forms[string(quoted[1:len(quoted)-1])] = true
		forms[strings.ReplaceAll(s, "%", "%%")] = true
	}
	all := slices.Collect(maps.Keys(forms))
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) })
	pairs := make([]string, 0, 2*len(all))
	for _, s := range all {
		pairs = append(pairs, s, mask)
	}
	replace := strings.NewReplacer(pairs...)
	return func(text string) string { return maskURLs(replace.Replace(text)) }
}

// shortestLine is the length from which on one line of a longer secret is looked for: shorter ones, such as a brace,
// are everywhere.
const shortestLine = 12

// proxyPasswords are those of proxies, which need no scheme: Go's programs take user:password@host:port for http.
func (in Intent) proxyPasswords() []string {
	values := []string{in.Containerd.HTTPProxy, in.Containerd.HTTPSProxy, in.Sources.HTTPProxy, in.Sources.HTTPSProxy}
	values = append(values, slices.Collect(maps.Values(in.Environment))...)
	var out []string
	for _, v := range values {
		if strings.Contains(v, "://") {
			continue
		}
		user, _, ok := cutLast(v, "@")
		_, password, has := strings.Cut(user, ":")
		if ok && has && len(password) >= shortestSecret {
			out = append(out, password)
		}
	}
	return out
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// maskURLs hides passwords of URLs (RFC 3986, section 3.2.1: what follows the first colon of the part before @).
func maskURLs(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	return userinfo.ReplaceAllString(text, "${1}:"+mask+"@")
}

// userinfo is what stands before the host of a URL.
var userinfo = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@"']*):[^/\s"']+@`) //nolint:gochecknoglobals // compiled once
