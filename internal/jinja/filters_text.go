package jinja

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

// textFilters make text of text.
var textFilters = map[string]filterFunc{
	"lower":      func(r *run, in any, _ *args) any { return lower(r.str(in)) },
	"upper":      func(r *run, in any, _ *args) any { return upper(r.str(in)) },
	"capitalize": func(r *run, in any, _ *args) any { return capitalize(r.str(in)) },
	"title":      func(r *run, in any, _ *args) any { return titleFilter(r.str(in)) },
	"string":     func(r *run, in any, _ *args) any { return r.str(in) },
	"safe":       func(r *run, in any, _ *args) any { return in },
	"trim": func(r *run, in any, a *args) any {
		s := r.str(in)
		r.alloc(len(s))
		return strip(s, a, true, true)
	},
	"replace": func(r *run, in any, a *args) any {
		old, by := r.str(a.need(0, "old")), r.str(a.need(1, "new"))
		return r.replace(r.str(in), old, by, a.integer(2, "count", -1))
	},
	"indent": indentFilter,
	"center": func(r *run, in any, a *args) any { return r.pad(r.str(in), a.integer(0, "width", 80), " ", 1, 1) },
	"format": func(r *run, in any, a *args) any {
		if a.named.Len() > 0 {
			named := a.named
			a.named = NewDict()
			return r.percent(r.wantText(in), named)
		}
		return r.percent(r.wantText(in), &List{Tuple: true, Items: a.rest(0)})
	},
	"split":         func(r *run, in any, a *args) any { return r.split(r.wantText(in), a, false) },
	"regex_replace": regexReplace,
	"regex_search":  regexSearch,
	"regex_findall": regexFindall,
	"regex_escape":  func(r *run, in any, _ *args) any { return regexp.QuoteMeta(r.wantText(in)) },
	"basename":      func(r *run, in any, _ *args) any { s := r.wantText(in); return s[strings.LastIndexByte(s, '/')+1:] },
	"dirname":       func(r *run, in any, _ *args) any { return dirname(r.wantText(in)) },
	"path_join":     pathJoin,
	"normpath":      func(r *run, in any, _ *args) any { return path.Clean(r.wantText(in)) },
	"splitext":      splitExt,
	"quote":         func(r *run, in any, _ *args) any { return shellQuote(r.str(in)) },
	"b64encode": func(r *run, in any, _ *args) any {
		s := r.str(in)
		r.alloc(2 * len(s))
		return base64.StdEncoding.EncodeToString([]byte(s))
	},
	"b64decode": func(r *run, in any, _ *args) any {
		out, err := base64.StdEncoding.DecodeString(r.wantText(in))
		if err != nil || !utf8.Valid(out) {
			r.errorf("b64decode: not base64 of text")
		}
		return string(out)
	},
	"urlencode": urlEncode,
	"urlsplit":  urlSplit,
	"hash":      func(r *run, in any, a *args) any { return r.digest(r.str(in), a.text(0, "hashtype", "sha1")) },
	"sha1":      func(r *run, in any, _ *args) any { return r.digest(r.str(in), "sha1") },
	"checksum":  func(r *run, in any, _ *args) any { return r.digest(r.str(in), "sha1") },
	"md5":       func(r *run, in any, _ *args) any { return r.digest(r.str(in), "md5") },
	"wordcount": func(r *run, in any, _ *args) any {
		return len(strings.Fields(r.str(in)))
	},
	"docker_image": dockerImage,
}

func (r *run) digest(s, how string) string {
	r.spend(len(s) / 64)
	var sum []byte
	switch how {
	case "sha1":
		b := sha1.Sum([]byte(s))
		sum = b[:]
	case "md5":
		b := md5.Sum([]byte(s))
		sum = b[:]
	case "sha256":
		b := sha256.Sum256([]byte(s))
		sum = b[:]
	case "sha512":
		b := sha512.Sum512([]byte(s))
		sum = b[:]
	default:
		r.errorf("hash: the type is not supported")
	}
	return hex.EncodeToString(sum)
}

func indentFilter(r *run, in any, a *args) any {
	fill := ""
	if v, ok := a.get(0, "width"); ok {
		if s, isText := v.(string); isText {
			fill = s
		} else {
			fill = r.pad("", r.wantInteger(v), " ", 1, 0)
		}
	} else {
		fill = "    "
	}
	first, blank := a.boolean(1, "first", false), a.boolean(2, "blank", false)
	var out strings.Builder
	for i, line := range strings.Split(r.str(in), "\n") {
		if i > 0 {
			out.WriteByte('\n')
		}
		if (i > 0 || first) && (blank || line != "" || i == 0) {
			r.alloc(len(fill))
			out.WriteString(fill)
		}
		out.WriteString(line)
	}
	r.alloc(out.Len())
	return out.String()
}

// dirname and pathJoin are Python's, which do not clean as Go's do.
func dirname(s string) string {
	i := strings.LastIndexByte(s, '/') + 1
	head := s[:i]
	if head != "" && strings.Trim(head, "/") != "" {
		head = strings.TrimRight(head, "/")
	}
	return head
}

func pathJoin(r *run, in any, _ *args) any {
	if s, ok := in.(string); ok {
		return s
	}
	out := ""
	for _, item := range r.items(in) {
		part := r.wantText(item)
		r.alloc(len(part))
		switch {
		case strings.HasPrefix(part, "/"):
			out = part
		case out == "" || strings.HasSuffix(out, "/"):
			out += part
		default:
			out += "/" + part
		}
	}
	return out
}

func splitExt(r *run, in any, _ *args) any {
	s := r.wantText(in)
	dot, slash := strings.LastIndexByte(s, '.'), strings.LastIndexByte(s, '/')
	if dot <= slash || strings.Trim(s[slash+1:dot], ".") == "" {
		return &List{Tuple: true, Items: []any{s, ""}}
	}
	return &List{Tuple: true, Items: []any{s[:dot], s[dot:]}}
}

var unquoted = regexp.MustCompile(`^[a-zA-Z0-9@%_\-+=:,./]+$`)

func shellQuote(s string) string {
	if unquoted.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
}

// dockerImage is vexxhost.containers' filter: a part of an image reference.
func dockerImage(r *run, in any, a *args) any {
	ref, part := r.wantText(in), a.text(0, "part", "ref")
	rest, digest, _ := strings.Cut(ref, "@")
	name, tag := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		name, tag = rest[:i], rest[i+1:]
	}
	domain, remote, found := strings.Cut(name, "/")
	if !found || !strings.ContainsAny(domain, ".:") && domain != "localhost" {
		domain, remote = "docker.io", name
		if !strings.Contains(remote, "/") {
			remote = "library/" + remote
		}
	}
	switch part {
	case "ref":
		return ref
	case "name":
		return domain + "/" + remote
	case "domain":
		return domain
	case "path":
		return remote
	case "tag":
		return tag
	case "digest":
		return digest
	}
	r.errorf("docker_image: the part %q is not supported", part)
	return nil
}
