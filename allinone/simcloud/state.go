package simcloud

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// state is everything clients and machines made. A state that is visible is never changed: writers change a copy.
type state struct {
	TokenKey      []byte
	Revoked       map[string]time.Time // by audit id, until when the token would have lived
	Seeded        map[string]bool      // what came from the seed once; if a client deletes it, it stays deleted
	Projects      map[string]project   // made by clients; the seed has its own
	Credentials   map[string]credential
	Keypairs      map[string]keypair
	ServerGroups  map[string]serverGroup
	Servers       map[string]server
	LoadBalancers map[string]loadBalancer
	FloatingIPs   map[string]floatingIP
}

// credential is an application credential; of its secret only a hash is kept.
type credential struct {
	ID, Name, Description string
	UserID, ProjectID     string
	Roles                 []string
	Unrestricted          bool
	ExpiresAt             time.Time
	Salt, Hash            []byte
}

type keypair struct {
	UserID, Name, Type     string
	PublicKey, Fingerprint string
	CreatedAt              time.Time
}

type serverGroup struct {
	ID, Name, Policy  string
	UserID, ProjectID string
	Rules             json.RawMessage `json:",omitempty"`
}

type server struct {
	ID, Name, Cluster string
	ProjectID, UserID string
	Flavor, Image     string
	ControlPlane      bool
	CreatedAt         time.Time
	ReadyAt           time.Time
	Fail              string
}

type loadBalancer struct {
	ID, Name, Description, ProjectID string
	Provider, FlavorID, Zone         string
	PortID, Address                  string
	NetworkID, SubnetID              string
	CreatedAt, ReadyAt, GoneAt       time.Time
}

type floatingIP struct {
	ID, ProjectID, Description string
	NetworkID, Address         string
	PortID, FixedAddress       string
	CreatedAt                  time.Time
}

func newState() *state {
	s := &state{TokenKey: make([]byte, tokenKeySize)}
	_, _ = rand.Read(s.TokenKey) // Never fails: see crypto/rand.
	return s.clone()
}

// clone copies the maps and makes those that are missing; their values are never changed in place.
func (s *state) clone() *state {
	next := *s
	next.Revoked = cloned(s.Revoked)
	next.Seeded = cloned(s.Seeded)
	next.Projects = cloned(s.Projects)
	next.Credentials = cloned(s.Credentials)
	next.Keypairs = cloned(s.Keypairs)
	next.ServerGroups = cloned(s.ServerGroups)
	next.Servers = cloned(s.Servers)
	next.LoadBalancers = cloned(s.LoadBalancers)
	next.FloatingIPs = cloned(s.FloatingIPs)
	return &next
}

func cloned[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return maps.Clone(m)
}

const (
	stateFile  = "simcloud.json"
	lazyWrites = 200 * time.Millisecond
)

// store holds the current state and its file. Readers take the pointer and need no lock.
type store struct {
	path    string // empty: memory only
	log     *slog.Logger
	current atomic.Pointer[state]

	mu    sync.Mutex // of writers
	dirty bool
	timer *time.Timer
}

func openStore(dir string, log *slog.Logger) (*store, error) {
	s := &store{log: log}
	s.current.Store(newState())
	if dir == "" {
		return s, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the simulated cloud's directory: %w", err)
	}
	s.path = filepath.Join(dir, stateFile)
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the simulated cloud's state: %w", err)
	}
	loaded := &state{}
	if err := json.Unmarshal(text, loaded); err != nil {
		return nil, fmt.Errorf("read the simulated cloud's state from %s: %w", s.path, err)
	}
	if len(loaded.TokenKey) != tokenKeySize {
		return nil, fmt.Errorf("the simulated cloud's state in %s has no token key", s.path)
	}
	s.current.Store(loaded.clone())
	return s, nil
}

func (s *store) view() *state { return s.current.Load() }

// update makes a change that is on disk when it returns nil, and that did not happen when it returns an error.
func (s *store) update(change func(*state) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.view().clone()
	if err := change(next); err != nil {
		return err
	}
	if err := s.write(next); err != nil {
		return err
	}
	s.current.Store(next)
	return nil
}

// remember makes a change that may be lost when the process is killed within the next moment: machines, which Cluster
// API knows of anyway, and would otherwise each cost a write of the whole file.
func (s *store) remember(change func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.view().clone()
	change(next)
	s.current.Store(next)
	if !s.dirty && s.path != "" {
		s.dirty = true
		s.timer = time.AfterFunc(lazyWrites, s.flush)
	}
}

func (s *store) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dirty {
		return
	}
	if err := s.write(s.view()); err != nil {
		s.log.Warn("cannot write the simulated cloud's state", "err", err)
		s.timer = time.AfterFunc(10*lazyWrites, s.flush)
	}
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	if !s.dirty {
		return nil
	}
	return s.write(s.view())
}

func (s *store) write(next *state) error {
	if s.path == "" {
		return nil
	}
	text, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the simulated cloud's state: %w", err)
	}
	if err := replaceFile(s.path, text); err != nil {
		return fmt.Errorf("write the simulated cloud's state: %w", err)
	}
	s.dirty = false
	return nil
}

// replaceFile leaves either the old text or the new one, whenever the machine stops.
func replaceFile(path string, text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // CreateTemp makes files of mode 0600.
	if err != nil {
		return err
	}
	temporary := file.Name()
	if _, err = file.Write(text); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
