package simcloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// obj is a JSON object. The clouds' own documents are loose, so are ours.
type obj = map[string]any

// call is one request on its way through a handler.
type call struct {
	*http.Request
	base    string // http://host:port, without a slash at the end
	service service
	who     *caller
	version int // Nova's microversion, the N of 2.N
	header  http.Header
}

// reply is a handler's answer; a zero status is 200.
type reply struct {
	status int
	body   any
}

type handler func(*call) (reply, error)

// fault is an answer that is an error. Each service has its own body for it.
type fault struct {
	status  int
	message string
}

func (f *fault) Error() string { return f.message }

func fail(status int, format string, args ...any) error {
	return &fault{status: status, message: fmt.Sprintf(format, args...)}
}

func ok(body any) (reply, error) { return reply{body: body}, nil }

// service is who answers: a path prefix, a name in fault rules, a shape of errors.
type service string

const (
	identity      service = "identity"
	compute       service = "compute"
	imageService  service = "image"
	networking    service = "network"
	volume        service = "volume"
	loadBalancing service = "load-balancer"
	control       service = "_simcloud"
)

func serviceAt(path string) service {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch s := service(first); s {
	case compute, imageService, networking, volume, loadBalancing, control:
		return s
	default:
		return identity
	}
}

const maxBody = 1 << 20

func (q *call) decode(into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, q.Body, maxBody))
	if err != nil {
		return fail(http.StatusRequestEntityTooLarge, "The request is too large.")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fail(http.StatusBadRequest, "Could not parse the request: %v", err)
	}
	return nil
}

// wrapped runs a handler and writes what comes of it.
func (c *Cloud) wrapped(access access, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := &call{Request: r, base: c.baseURL(r), service: serviceAt(r.URL.Path), header: w.Header()}
		answer, err := c.answer(q, access, h)
		if err != nil {
			c.writeFault(w, q, err)
			return
		}
		writeJSON(w, r, answer)
	})
}

func (c *Cloud) answer(q *call, access access, h handler) (reply, error) {
	if err := q.negotiate(); err != nil {
		return reply{}, err
	}
	if err := c.admit(q, access); err != nil {
		return reply{}, err
	}
	return h(q)
}

func (c *Cloud) baseURL(r *http.Request) string {
	if c.options.BaseURL != "" {
		return strings.TrimRight(c.options.BaseURL, "/")
	}
	return "http://" + r.Host
}

func writeJSON(w http.ResponseWriter, r *http.Request, answer reply) {
	if answer.status == 0 {
		answer.status = http.StatusOK
	}
	if answer.body == nil {
		w.WriteHeader(answer.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	text, err := json.Marshal(answer.body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(answer.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text)
	}
}

func (c *Cloud) writeFault(w http.ResponseWriter, q *call, err error) {
	var f *fault
	if !errors.As(err, &f) {
		c.log.Error("the simulated cloud failed", "method", q.Method, "path", q.URL.Path, "err", err)
		f = &fault{status: http.StatusInternalServerError, message: "An unexpected error prevented the server from fulfilling your request."}
	}
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Keystone uri=%q", q.base+"/v3"))
	}
	writeJSON(w, q.Request, reply{status: f.status, body: faultBody(q.service, f)})
}

// novaFaults are the names Nova and Cinder give to status codes.
var novaFaults = map[int]string{
	400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 405: "badMethod", 409: "conflictingRequest",
	413: "overLimit", 429: "overLimit", 503: "serviceUnavailable",
}

func faultBody(s service, f *fault) any {
	title := http.StatusText(f.status)
	if s == identity || f.status == http.StatusUnauthorized || s == control {
		return obj{"error": obj{"code": f.status, "message": f.message, "title": title}}
	}
	switch s {
	case compute, volume:
		name := novaFaults[f.status]
		if name == "" {
			name = "computeFault"
		}
		return obj{name: obj{"code": f.status, "message": f.message}}
	case networking:
		return obj{"NeutronError": obj{"type": strings.ReplaceAll(title, " ", ""), "message": f.message, "detail": ""}}
	case loadBalancing:
		who := "Client"
		if f.status >= http.StatusInternalServerError {
			who = "Server"
		}
		return obj{"faultcode": who, "faultstring": f.message, "debuginfo": nil}
	default: // Glance: webob's JSON.
		return obj{"message": f.message, "code": fmt.Sprintf("%d %s", f.status, title), "title": title}
	}
}

// notParts are query arguments that are not about a field of the things listed.
var notParts = []string{
	"limit", "marker", "page_reverse", "sort", "sort_key", "sort_dir", "fields", "all_tenants", "all_projects", "offset", "deleted",
	"include_names", "effective", "nocatalog", "is_public", "minDisk", "minRam", "user_id", "allow_expired", "os_hidden", "member_status",
}

// filtered keeps the objects whose fields equal the query's arguments, as far as the objects have such fields.
func filtered(items []obj, query url.Values) []obj {
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(query)), func(key string) bool { return slices.Contains(notParts, key) })
	return slices.DeleteFunc(items, func(item obj) bool {
		for _, key := range keys {
			value, has := item[key]
			if !has || !slices.ContainsFunc(query[key], func(want string) bool { return sameText(value, want) }) {
				return true
			}
		}
		return false
	})
}

func sameText(value any, want string) bool {
	if b, isBool := value.(bool); isBool {
		wanted, err := strconv.ParseBool(want)
		return err == nil && wanted == b
	}
	if value == nil {
		return want == "" || want == "null"
	}
	return fmt.Sprint(value) == want
}

const maxPage = 1000

// page cuts the part after the marker, at most limit long, and makes the address of the rest.
func page(q *call, items []obj, key string) (part []obj, next string, err error) {
	query := q.URL.Query()
	if marker := query.Get("marker"); marker != "" {
		at := slices.IndexFunc(items, func(item obj) bool { return item[key] == marker })
		if at < 0 {
			return nil, "", fail(http.StatusBadRequest, "marker [%s] not found", marker)
		}
		items = items[at+1:]
	}
	if text := query.Get("offset"); text != "" {
		offset, err := strconv.Atoi(text)
		if err != nil || offset < 0 {
			return nil, "", fail(http.StatusBadRequest, "Invalid offset %q", text)
		}
		items = items[min(offset, len(items)):]
	}
	limit := maxPage
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, "", fail(http.StatusBadRequest, "Invalid limit %q", text)
		}
		if n > 0 {
			limit = min(n, maxPage)
		}
	}
	if len(items) <= limit {
		return notNull(items), "", nil
	}
	items = items[:limit]
	query.Set("marker", fmt.Sprint(items[limit-1][key]))
	query.Del("offset")
	return items, q.URL.Path + "?" + query.Encode(), nil
}

func notNull(items []obj) []obj {
	if items == nil {
		return []obj{}
	}
	return items
}

// listed is a list as Nova, Neutron and Octavia write it: {"things": [...], "things_links": [{"rel": "next"}]}.
func listed(q *call, name string, items []obj, key string) (reply, error) {
	part, next, err := page(q, items, key)
	if err != nil {
		return reply{}, err
	}
	body := obj{name: part}
	if next != "" {
		body[name+"_links"] = []obj{{"rel": "next", "href": q.base + next}}
	}
	return ok(body)
}

// sorted are the values of a map in the order of their keys after less.
func sorted[V any](m map[string]V, compare func(a, b V) int) []V {
	return slices.SortedFunc(maps.Values(m), compare)
}
