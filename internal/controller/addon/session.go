package addon

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// ref names an object of a workload cluster.
type ref struct {
	kind            schema.GroupVersionKind
	namespace, name string
}

func refOf(u *unstructured.Unstructured) ref {
	return ref{u.GroupVersionKind(), u.GetNamespace(), u.GetName()}
}

// applied is an object as it was when it was last applied.
type applied struct {
	wanted     [sha256.Size]byte // of what was asked for
	generation int64             // 0 for kinds that have none
	version    string            // resourceVersion
}

// session is the connection to one cluster and what is known of it. All of it can be learned again.
type session struct {
	cluster *workload.Cluster
	digest  [sha256.Size]byte // of the kubeconfig, and of which control plane it is
	cancel  context.CancelFunc
	ctx     context.Context //nolint:containedctx // ends the watches, which outlive the round that began them
	wake    func()

	// Of rounds alone, of which each cluster has one at a time.
	inventory []ref // nil: not read yet
	facts     *facts
	inputs    [sha256.Size]byte   // what releases were made from
	releases  []catalogue.Release // the last ones; their objects are read only
	atHome    map[ref]applied     // in the management cluster
	watched   map[schema.GroupVersionKind]bool

	// Of rounds and watches.
	mu      sync.Mutex
	applied map[ref]applied
	lost    error // why the cluster does not answer, if it does not
}

// sessions are the open connections. It ends them when this process no longer leads.
type sessions struct {
	mu   sync.Mutex
	all  map[string]*session
	wake func(name string)
	ctx  context.Context //nolint:containedctx // of the term
	end  context.CancelFunc
}

func newSessions(wake func(string)) *sessions {
	ctx, end := context.WithCancel(context.Background())
	return &sessions{all: map[string]*session{}, wake: wake, ctx: ctx, end: end}
}

// Start implements manager.Runnable: connections end with the term.
func (p *sessions) Start(ctx context.Context) error {
	<-ctx.Done()
	p.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, s := range p.all {
		s.close()
		delete(p.all, name)
	}
	return nil
}

// open returns the session of a cluster; a new one when there is none, or its kubeconfig or its control plane is
// another one.
func (p *sessions) open(name, life string, kubeconfig []byte, dial workload.Dial) (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	digest := sha256.Sum256(append([]byte(life+"\n"), kubeconfig...))
	if s := p.all[name]; s != nil {
		if s.digest == digest {
			return s, nil
		}
		s.close()
		delete(p.all, name)
	}
	cluster, err := workload.Open(kubeconfig, dial)
	if err != nil {
		return nil, err
	}
	s := &session{
		cluster: cluster, digest: digest, wake: calm(func() { p.wake(name) }),
		applied: map[ref]applied{}, atHome: map[ref]applied{}, watched: map[schema.GroupVersionKind]bool{},
	}
	s.ctx, s.cancel = context.WithCancel(p.ctx)
	p.all[name] = s
	return s, nil
}

// betweenRounds is the least time between two rounds that one cluster's events ask for. Its owner can make events
// without an end, and a round costs a worker, requests, and perhaps a write of the record.
const betweenRounds = 2 * time.Second

// calm makes of any number of calls one at once and then one for each betweenRounds.
func calm(wake func()) func() {
	var (
		mu      sync.Mutex
		last    time.Time
		pending bool
	)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if pending {
			return
		}
		rest := time.Until(last.Add(betweenRounds))
		if rest <= 0 {
			last = time.Now()
			wake()
			return
		}
		pending = true
		time.AfterFunc(rest, func() {
			mu.Lock()
			defer mu.Unlock()
			pending, last = false, time.Now()
			wake()
		})
	}
}

func (p *sessions) drop(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.all[name]; s != nil {
		s.close()
		delete(p.all, name)
	}
}

func (s *session) close() {
	s.cancel()
	s.cluster.Close()
}

// All implements workload.Watcher: what was applied and is not there any more, or is another one, is applied again.
func (s *session) All(kind schema.GroupVersionKind, objects []workload.Seen) {
	s.mu.Lock()
	there := map[ref]workload.Seen{}
	for _, o := range objects {
		there[ref{kind, o.Namespace, o.Name}] = o
	}
	changed := s.lost != nil
	s.lost = nil
	for r := range s.applied {
		if r.kind != kind {
			continue
		}
		o, ok := there[r]
		if !ok {
			o.Gone = true
		}
		changed = s.note(r, o) || changed
	}
	s.mu.Unlock()
	if changed {
		s.wake()
	}
}

// Changed implements workload.Watcher.
func (s *session) Changed(o workload.Seen) {
	s.mu.Lock()
	changed := s.note(ref{o.Kind, o.Namespace, o.Name}, o)
	s.mu.Unlock()
	if changed {
		s.wake()
	}
}

// note compares what is seen with what was applied, and tells whether a round is called for. What changed in a way that
// may be drift is forgotten, so that the round applies it again; where nothing is missing the API server changes
// nothing.
func (s *session) note(r ref, o workload.Seen) bool {
	was, ok := s.applied[r]
	if !ok || !o.Gone && o.ResourceVersion == was.version {
		return false
	}
	sameSpec := was.generation != 0 && o.Generation == was.generation
	switch {
	case o.Gone || !sameSpec:
		delete(s.applied, r)
	case catalogue.Watched(r.kind.Kind): // its status moved
		was.version = o.ResourceVersion
		s.applied[r] = was
	default: // metadata: somebody else's labels, or an owner
		was.version = o.ResourceVersion
		s.applied[r] = was
		return false
	}
	return true
}

// Lost implements workload.Watcher.
func (s *session) Lost(_ schema.GroupVersionKind, err error) {
	s.mu.Lock()
	first := s.lost == nil
	s.lost = err
	s.mu.Unlock()
	if first {
		s.wake()
	}
}
