package simcloud

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Faults are what goes wrong. The first rule that fits a request, or a machine, decides.
type Faults struct {
	Requests []RequestFault `json:"requests" yaml:"requests"`
	Machines []MachineFault `json:"machines" yaml:"machines"`
}

// RequestFault answers requests in a service's stead, or only makes them wait. In Path, * stands for anything, slashes
// included.
type RequestFault struct {
	Service string   `json:"service,omitempty" yaml:"service"` // identity, compute, image, network, volume, load-balancer, or the project's name
	Method  string   `json:"method,omitempty"  yaml:"method"`
	Path    string   `json:"path,omitempty"    yaml:"path"`
	Status  int      `json:"status,omitempty"  yaml:"status"` // 0: only wait
	Message string   `json:"message,omitempty" yaml:"message"`
	Body    string   `json:"body,omitempty"    yaml:"body"` // instead of the service's own error body
	Delay   Duration `json:"delay,omitempty"   yaml:"delay"`
	Count   int      `json:"count,omitempty"   yaml:"count"` // how many times; 0: always
}

// MachineFault keeps machines from coming, or only lets them come late when it has no message.
type MachineFault struct {
	Flavor  string   `json:"flavor,omitempty"  yaml:"flavor"`
	Cluster string   `json:"cluster,omitempty" yaml:"cluster"`
	Message string   `json:"message,omitempty" yaml:"message"`
	Delay   Duration `json:"delay,omitempty"   yaml:"delay"`
}

type requestRule struct {
	RequestFault
	used int
}

// projectNames are what people call the services.
var projectNames = map[string]service{
	"keystone": identity, "nova": compute, "glance": imageService, "neutron": networking, "cinder": volume, "volumev3": volume,
	"block-storage": volume, "octavia": loadBalancing,
}

func (f RequestFault) at() service {
	if s, known := projectNames[f.Service]; known {
		return s
	}
	return service(f.Service)
}

func (f RequestFault) check() error {
	known := []service{"", identity, compute, imageService, networking, volume, loadBalancing}
	if !slices.Contains(known, f.at()) {
		return fmt.Errorf("there is no service %q", f.Service)
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return fmt.Errorf("status %d is not one of HTTP's", f.Status)
	}
	if f.Status == 0 && f.Delay == 0 {
		return errors.New("a rule needs a status, a delay or both")
	}
	return nil
}

func (f RequestFault) fits(s service, method, path string) bool {
	return (f.Service == "" || f.at() == s) && (f.Method == "" || strings.EqualFold(f.Method, method)) && glob(f.Path, path)
}

// glob matches * with anything; an empty pattern fits everything.
func glob(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	parts := strings.Split(pattern, "*")
	rest, found := strings.CutPrefix(text, parts[0])
	if !found || len(parts) == 1 {
		return found && rest == ""
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return strings.HasSuffix(rest, last)
}

// SetFaults replaces all rules.
func (c *Cloud) SetFaults(faults Faults) error {
	rules := make([]*requestRule, 0, len(faults.Requests))
	for i, f := range faults.Requests {
		if err := f.check(); err != nil {
			return fmt.Errorf("requests[%d]: %w", i, err)
		}
		rules = append(rules, &requestRule{RequestFault: f})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults, c.rules = rules, slices.Clone(faults.Machines)
	return nil
}

// Faults are the rules that still apply; counts are what is left of them.
func (c *Cloud) Faults() Faults {
	c.mu.Lock()
	defer c.mu.Unlock()
	faults := Faults{Requests: []RequestFault{}, Machines: append([]MachineFault{}, c.rules...)}
	for _, rule := range c.faults {
		left := rule.RequestFault
		if rule.Count > 0 {
			if left.Count -= rule.used; left.Count <= 0 {
				continue
			}
		}
		faults.Requests = append(faults.Requests, left)
	}
	return faults
}

func (c *Cloud) faultFor(s service, method, path string) *RequestFault {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rule := range c.faults {
		if (rule.Count == 0 || rule.used < rule.Count) && rule.fits(s, method, path) {
			rule.used++
			f := rule.RequestFault
			return &f
		}
	}
	return nil
}

// withFaults stands before all services. The rules themselves, and /healthz, stay in reach.
func (c *Cloud) withFaults(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := serviceAt(r.URL.Path)
		if s == control || r.URL.Path == "/healthz" {
			next.ServeHTTP(w, r)
			return
		}
		f := c.faultFor(s, r.Method, r.URL.Path)
		if f == nil {
			next.ServeHTTP(w, r)
			return
		}
		if !waited(r, time.Duration(f.Delay)) {
			return
		}
		switch {
		case f.Status == 0:
			next.ServeHTTP(w, r)
		case f.Body != "":
			w.WriteHeader(f.Status)
			_, _ = w.Write([]byte(f.Body))
		default:
			message := f.Message
			if message == "" {
				message = http.StatusText(f.Status)
			}
			q := &call{Request: r, base: c.baseURL(r), service: s, header: w.Header()}
			c.writeFault(w, q, &fault{status: f.Status, message: message})
		}
	})
}

// waited is false when the client did not wait.
func waited(r *http.Request, delay time.Duration) bool {
	if delay <= 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (c *Cloud) showFaults(*call) (reply, error) { return ok(c.Faults()) }

func (c *Cloud) replaceFaults(q *call) (reply, error) {
	var faults Faults
	if err := q.decode(&faults); err != nil {
		return reply{}, err
	}
	if err := c.SetFaults(faults); err != nil {
		return reply{}, fail(http.StatusBadRequest, "%v", err)
	}
	return ok(c.Faults())
}
