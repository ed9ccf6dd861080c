package inmemory

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
)

// PortRange is a range of ports, both ends included.
type PortRange struct{ Min, Max int32 }

// ParsePortRange reads "20000-29999".
func ParsePortRange(s string) (PortRange, error) {
	low, high, ok := strings.Cut(s, "-")
	first, err1 := strconv.ParseUint(low, 10, 16)
	last, err2 := strconv.ParseUint(high, 10, 16)
	if !ok || err1 != nil || err2 != nil || first == 0 || first > last {
		return PortRange{}, fmt.Errorf("%q is not a range of ports: write for example 20000-29999", s)
	}
	return PortRange{int32(first), int32(last)}, nil
}

// UnmarshalText reads a range from a flag.
func (r *PortRange) UnmarshalText(b []byte) (err error) {
	*r, err = ParsePortRange(string(b))
	return err
}

// String writes what ParsePortRange reads.
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.Min, r.Max) }

// Ports gives each workload cluster a port of its own. It goes round the range, so that a port that became free is the
// last to be used again: clients may still hold a kubeconfig of the cluster that had it.
type Ports struct {
	mu    sync.Mutex
	all   PortRange
	next  int32
	taken map[int32]bool
	// inUse asks whether another program listens on the port.
	inUse func(port int32) bool
}

// NewPorts starts with all ports free.
func NewPorts(all PortRange) *Ports {
	return &Ports{all: all, next: all.Min, taken: map[int32]bool{}, inUse: listening}
}

// Reserve marks the port of a cluster that is there already.
func (p *Ports) Reserve(port int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken[port] = true
	if port >= p.next && port < p.all.Max {
		p.next = port + 1
	}
}

// Take finds a free port and reserves it.
func (p *Ports) Take() (int32, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.all.Max - p.all.Min + 1 {
		port := p.next
		if p.next++; p.next > p.all.Max {
			p.next = p.all.Min
		}
		if p.taken[port] || p.inUse(port) {
			continue
		}
		p.taken[port] = true
		return port, nil
	}
	return 0, fmt.Errorf("no free port for a workload cluster in %s: delete clusters or give a wider range", p.all)
}

// Release gives a port back.
func (p *Ports) Release(port int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, port)
}

// listening tries the port on all interfaces, as Cluster API's mux will listen.
func listening(port int32) bool {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return true
	}
	_ = l.Close()
	return false
}
