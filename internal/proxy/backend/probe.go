package backend

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
)

// Dial connects to an address inside a namespace.
type Dial func(ctx context.Context, namespace string, to netip.AddrPort, timeout time.Duration) (*net.TCPConn, error)

// Check is how a backend is asked whether it answers.
type Check string

// CheckTLS is a whole TLS handshake under the name that clients use; CheckReadyz asks for /readyz after it. An API
// server that refuses anonymous requests is alive too: only 5xx answers count as failures. Certificates are not
// verified, for this host holds no cluster's authority; clients do that.
const (
	CheckTLS    Check = "tls"
	CheckReadyz Check = "readyz"
)

// Health is what is known of a backend.
type Health struct {
	Known     bool // it was asked at least once since it is what it is
	OK        bool
	Namespace netns.Namespace // where it answered last
	Err       error           // why it is not OK
	Since     time.Time       // of the last change
}

// ProberOptions are a Prober's parts.
type ProberOptions struct {
	Dial     Dial
	Check    Check
	Interval time.Duration // between two checks of a backend that answers
	Timeout  time.Duration // of one check in one namespace
	Parallel int           // checks at once
	Metrics  *Metrics
	Changed  func(stack string) // after each change of a backend's health
}

// A backend that stops answering is asked once more, soon, before it counts as down. While it is down it is asked soon,
// and then less often: a namespace that was made a moment ago has no address yet.
const (
	secondLook = 300 * time.Millisecond
	downFirst  = 50 * time.Millisecond
	downEvery  = 2 * time.Second
)

// Prober asks backends whether they answer. Between checks a backend costs a timer and no goroutine.
type Prober struct {
	ProberOptions

	ctx   context.Context //nolint:containedctx // the life of all timers, ended by Close
	end   context.CancelFunc
	slots chan struct{}
	going sync.WaitGroup

	mu     sync.Mutex
	probes map[string]*probe
}

type probe struct {
	backend  Backend
	health   Health
	failures int
	used     time.Time // when real traffic last showed that it answers
	timer    *time.Timer
	running  bool
	again    bool // asked for while running
	removed  bool
}

// NewProber makes a prober without backends.
func NewProber(o ProberOptions) *Prober {
	ctx, end := context.WithCancel(context.Background())
	return &Prober{ProberOptions: o, ctx: ctx, end: end, slots: make(chan struct{}, max(1, o.Parallel)), probes: map[string]*probe{}}
}

// Close ends all checks.
func (p *Prober) Close() {
	p.end()
	p.Set(nil)
	p.going.Wait()
}

// Set says which backends there are. New and changed ones are checked at once.
func (p *Prober) Set(backends []Backend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keep := map[string]bool{}
	for _, b := range backends {
		keep[b.Stack] = true
		old := p.probes[b.Stack]
		if old != nil && old.backend.Equal(b.Prefer(old.backend.Namespaces[0])) {
			continue
		}
		next := &probe{backend: b}
		if old != nil {
			old.remove()
			if old.backend.Address == b.Address && old.health.OK {
				next.health = old.health // the ways there have changed; until they are tried, what was true stays
				next.health.Known = true
			}
		}
		p.probes[b.Stack] = next
		p.start(next)
	}
	for stack, pr := range p.probes {
		if !keep[stack] {
			pr.remove()
			delete(p.probes, stack)
			p.Metrics.Forget(stack) // a check that is under way sees that it was removed, and counts no more
		}
	}
}

func (pr *probe) remove() {
	pr.removed = true
	if pr.timer != nil {
		pr.timer.Stop()
	}
}

// Health returns what is known of a backend.
func (p *Prober) Health(stack string) Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pr := p.probes[stack]; pr != nil {
		return pr.health
	}
	return Health{}
}

// Used tells that a backend has just answered a client: the next check can be saved.
func (p *Prober) Used(stack string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pr := p.probes[stack]; pr != nil {
		pr.used = time.Now()
	}
}

// Doubt tells that a backend, or the way to it, has just failed a client: it is checked now.
func (p *Prober) Doubt(stack string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pr := p.probes[stack]; pr != nil && pr.health.OK {
		pr.used = time.Time{}
		p.start(pr)
	}
}

// start begins a check now. The lock is held.
func (p *Prober) start(pr *probe) {
	if pr.removed || p.ctx.Err() != nil {
		return
	}
	if pr.running {
		pr.again = true
		return
	}
	if pr.timer != nil {
		pr.timer.Stop()
	}
	pr.running, pr.again = true, false
	p.going.Go(func() { p.run(pr) })
}

func (p *Prober) run(pr *probe) {
	select {
	case p.slots <- struct{}{}:
	case <-p.ctx.Done():
		return
	}
	begin := time.Now()
	where, err := p.ask(pr.backend)
	<-p.slots
	p.mu.Lock()
	pr.running = false
	if pr.removed {
		p.mu.Unlock()
		return
	}
	changed := pr.learn(where, err)
	if changed || pr.health.OK {
		p.Metrics.Checked(pr.backend.Stack, pr.health.OK, time.Since(begin))
	}
	if pr.again {
		p.start(pr)
	} else {
		pr.timer = time.AfterFunc(p.pause(pr), func() { p.due(pr) })
	}
	p.mu.Unlock()
	if changed {
		p.Changed(pr.backend.Stack)
	}
}

// due is called by the timer.
func (p *Prober) due(pr *probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if idle := time.Since(pr.used); pr.health.OK && pr.failures == 0 && idle < p.Interval {
		pr.timer = time.AfterFunc(p.Interval-idle, func() { p.due(pr) })
		return
	}
	p.start(pr)
}

// learn keeps the result of one check and says whether it changes anything. The lock is held.
func (pr *probe) learn(where netns.Namespace, err error) (changed bool) {
	was := pr.health
	switch {
	case err == nil:
		pr.failures = 0
		pr.health = Health{Known: true, OK: true, Namespace: where, Since: was.Since}
	case was.OK && pr.failures == 0:
		pr.failures++
		return false
	default:
		pr.failures++
		pr.health = Health{Known: true, Err: err, Since: was.Since}
	}
	if was.Known && was.OK == pr.health.OK && was.Namespace == pr.health.Namespace {
		return false
	}
	if !was.Known || was.OK != pr.health.OK {
		pr.health.Since = time.Now()
	}
	return true
}

// pause is how long to wait for the next check: spread, so that a thousand backends are not asked at the same moment.
func (p *Prober) pause(pr *probe) time.Duration {
	d := p.Interval
	if !pr.health.OK {
		d = min(downFirst<<min(pr.failures, 10), downEvery, p.Interval)
	} else if pr.failures > 0 {
		return secondLook
	}
	return d - time.Duration(rand.Int64N(int64(d)/5+1)) //nolint:gosec // spreading is no secret
}

// ask tries the namespaces in order.
func (p *Prober) ask(b Backend) (netns.Namespace, error) {
	var errs []error
	for _, n := range b.Namespaces {
		err := p.askIn(b, n.Name)
		if err == nil {
			return n, nil
		}
		errs = append(errs, err)
	}
	return netns.Namespace{}, errors.Join(errs...)
}

func (p *Prober) askIn(b Backend, namespace string) error {
	ctx, cancel := context.WithTimeout(p.ctx, p.Timeout)
	defer cancel()
	c, err := p.Dial(ctx, namespace, b.Address, p.Timeout)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // a check leaves nothing to flush
	// The fastest key exchange there is: the connection carries no secret.
	t := tls.Client(c, &tls.Config{ServerName: b.Host(), InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}}) //nolint:gosec // see CheckTLS
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("namespace %s: TLS handshake with %s: %w", namespace, b.Address, err)
	}
	if p.Check != CheckReadyz {
		return nil
	}
	if err := readyz(ctx, t, b); err != nil {
		return fmt.Errorf("namespace %s: /readyz of %s: %w", namespace, b.Address, err)
	}
	return nil
}

func readyz(ctx context.Context, c net.Conn, b Backend) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(c, "GET /readyz HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n\r\n", b.Host(), b.Address.Port()); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(c, 64<<10)), nil)
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // the connection ends anyway
	if resp.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}
