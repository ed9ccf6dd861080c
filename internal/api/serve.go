package api

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// A call is one request on its way through the API.
type call struct {
	w         http.ResponseWriter
	r         *http.Request
	requestID string
	began     time.Time
	route     string // the pattern that matched, for metrics
	version   int    // the microversion 1.N that is spoken
	base      string // scheme, host and path the client used, for links
	remote    string // where the client is
	query     url.Values

	token    string
	identity openstack.Identity
	caller   policy.Credentials

	buffer  *[]byte // where the answer is written; goes back to the pool afterwards
	status  int
	problem error // why the answer is not what was asked for
}

type callKey struct{}

// An answer is what a handler has to say.
type answer struct {
	status   int
	body     []byte // JSON; nil: none
	location string // of what was created
}

// ServeHTTP is what happens to every request, whatever it asks for.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{w: w, requestID: "req-" + s.newUUID(), began: s.Now(), route: "unknown", version: minMinor, buffer: s.takeBuffer()}
	client := s.Config.Proxies.client(r)
	c.base, c.remote = client.base, client.remote
	w.Header().Set("X-Openstack-Request-Id", c.requestID)
	s.metrics.inFlight.Inc()
	defer s.finish(c, r)

	ctx, cancel := context.WithTimeout(r.Context(), s.Config.RequestTimeout)
	defer cancel()
	ctx = context.WithValue(magnum.WithRequestID(ctx, c.requestID), callKey{}, c)
	r = r.WithContext(ctx)
	c.r = r
	if r.URL.Path != "/healthcheck" {
		r.URL = canonical(r.URL)
	}
	if p := r.URL.Path; p != "/" && path.Clean(p) != p {
		// The mux would redirect; Magnum knows no such path.
		(&resource{server: s}).ServeHTTP(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// canonical drops trailing slashes, which python-magnumclient and gophercloud send, and adds the /v1 that the
// "bookmark" links leave out (Magnum 1.14: both are served everywhere).
func canonical(u *url.URL) *url.URL {
	p := strings.TrimRight(u.Path, "/")
	versioned := p == "/v1" || strings.HasPrefix(p, "/v1/") || p == ""
	if versioned && p == u.Path {
		return u
	}
	out := *u
	out.Path, out.RawPath = p, strings.TrimRight(u.RawPath, "/")
	if !versioned {
		out.Path = "/v1" + out.Path
		if out.RawPath != "" {
			out.RawPath = "/v1" + out.RawPath
		}
	}
	if out.Path == "" {
		out.Path = "/"
	}
	return &out
}

// finish runs when a request is over, also when its handler panicked.
func (s *server) finish(c *call, r *http.Request) {
	if thrown := recover(); thrown != nil {
		if thrown == http.ErrAbortHandler { //nolint:errorlint // A sentinel that net/http documents to be compared.
			s.metrics.inFlight.Dec()
			panic(thrown)
		}
		s.Logger.LogAttrs(r.Context(), slog.LevelError, "request panicked", slog.String("request_id", c.requestID),
			slog.Any("panic", thrown), slog.String("stack", string(debug.Stack())))
		if c.status == 0 {
			s.write(c, serverFault(c, http.StatusInternalServerError))
		}
	}
	took := s.Now().Sub(c.began)
	s.metrics.inFlight.Dec()
	s.metrics.observe(r.Method, c.route, c.status, took)
	s.logAccess(c, r, took)
	s.giveBuffer(c.buffer)
}

func (s *server) logAccess(c *call, r *http.Request, took time.Duration) {
	if !s.Logger.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs, slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", c.status),
		slog.Duration("took", took), slog.String("request_id", c.requestID), slog.String("remote", c.remote),
		slog.Int("microversion", c.version))
	if c.caller.UserID != "" {
		attrs = append(attrs, slog.String("user_id", c.caller.UserID), slog.String("project_id", c.caller.ProjectID))
	}
	if c.problem != nil {
		attrs = append(attrs, slog.String("problem", magnum.Shorten(c.problem.Error(), 1000)))
	}
	level := slog.LevelInfo
	if c.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	s.Logger.LogAttrs(r.Context(), level, "request", attrs...)
}

// A resource is one path with its methods.
type resource struct {
	server  *server
	path    string
	public  bool
	methods map[string]route
}

func (res *resource) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(callKey{}).(*call)
	if !ok {
		panic("api: a resource was served without its server")
	}
	c.r = r
	if res.path != "" {
		c.route = res.path
	}
	s := res.server
	a, err := res.dispatch(r.Context(), c)
	if err != nil {
		c.problem = err
		a = s.refusal(c, err)
	}
	s.write(c, a)
}

// dispatch decides in Magnum's order: who is it (401), which version (406), is there such a thing (404), such a method
// (405), in that version (406), in a form the client reads (406), with such arguments (400).
func (res *resource) dispatch(ctx context.Context, c *call) (answer, error) {
	if !res.public {
		if err := res.server.authenticate(ctx, c); err != nil {
			return answer{}, err
		}
	}
	versioned := strings.HasPrefix(c.r.URL.Path, "/v1")
	if versioned {
		if err := c.negotiate(); err != nil {
			return answer{}, err
		}
	}
	asked := magnum.Shorten(c.r.URL.Path, 200)
	if res.methods == nil {
		return answer{}, &routingError{status: http.StatusNotFound, detail: fmt.Sprintf("This API has no path %s.", asked)}
	}
	r, ok := res.methods[c.r.Method]
	if !ok {
		allow := strings.Join(slices.Sorted(maps.Keys(res.methods)), ", ")
		return answer{}, &routingError{http.StatusMethodNotAllowed, allow, fmt.Sprintf("The path %s has no method %s. It has %s.", asked,
			magnum.Shorten(c.r.Method, 20), allow)}
	}
	if c.version < r.since {
		return answer{}, &routingError{status: http.StatusNotAcceptable, detail: fmt.Sprintf("Microversion 1.%d has no %s %s. Ask for 1.%d or a later one "+
			"(header OpenStack-API-Version, or --os-container-infra-api-version).", c.version, r.method, asked, r.since)}
	}
	if !acceptsJSON(c.r.Header) && c.r.URL.Path != "/healthcheck" {
		return answer{}, &routingError{status: http.StatusNotAcceptable, detail: "Answers are application/json, which the header Accept does not take."}
	}
	if versioned {
		c.announceVersion()
	}
	if err := c.parseQuery(r.args); err != nil {
		return answer{}, err
	}
	return r.serve(ctx, c)
}

// authenticate asks Keystone whose token this is. Nothing else of the request is believed.
func (s *server) authenticate(ctx context.Context, c *call) error {
	c.token = c.r.Header.Get("X-Auth-Token")
	if c.token == "" {
		return openstack.ErrUnauthorized
	}
	identity, err := s.Tokens.Validate(ctx, c.token)
	if err != nil {
		return err
	}
	c.identity = identity
	c.caller = policy.Credentials{
		UserID: identity.UserID, UserName: identity.UserName, UserDomainID: identity.UserDomainID,
		ProjectID: identity.ProjectID, ProjectName: identity.ProjectName, ProjectDomainID: identity.ProjectDomainID,
		Roles: identity.Roles, SystemScope: identity.SystemScope,
	}
	return nil
}

// acceptsJSON tells whether the client reads what we write. No header means yes.
func acceptsJSON(h http.Header) bool {
	values := h.Values("Accept")
	if len(values) == 0 {
		return true
	}
	for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
		kind, _, _ := strings.Cut(item, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "*/*", "application/*", "application/json", "":
			return true
		}
	}
	return false
}
