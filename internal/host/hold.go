package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Hold is a run's word that it alone changes a machine. The agent keeps it for as long as its deployer is there: one
// that was killed holds nothing, and nothing has to run out. A deployer that was only stopped, or cut off, still holds
// it; who breaks that names the run, and its agent refuses all changes from then on.
type Hold struct {
	// ID names the run.
	ID string `json:"id"`
	// What it does, for whom, and since when.
	What  string    `json:"what"`
	Who   string    `json:"who"`
	Since time.Time `json:"since"`
	// Break is the ID of a run to take over from, "" for none.
	Break string `json:"break,omitempty"`
}

func (h Hold) String() string {
	return fmt.Sprintf("%s of %s since %s (run %s)", h.What, h.Who, h.Since.UTC().Format(time.DateTime), h.ID)
}

const holdFile = "/run/jeroboam-run"

// take makes the machine this agent's, or says whose it is.
func (a *agent) take(h Hold) (any, error) {
	a.holding.Lock()
	defer a.holding.Unlock()
	if a.held != nil {
		return nil, errors.New("agent: it holds the machine already")
	}
	path := a.m.path(holdFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	for range 100 { // as often as others come and go in between
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o644)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil && sameFile(f, path):
			text, err := json.Marshal(h)
			if err == nil {
				err = errors.Join(f.Truncate(0), second(f.WriteAt(text, 0)))
			}
			if err != nil {
				return nil, errors.Join(err, f.Close())
			}
			a.held = f
			return nothing{}, nil
		case err != nil && !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, errors.Join(err, f.Close())
		case err != nil && sameFile(f, path):
			other := readHold(f)
			// An agent of the same run may not have noticed yet that its connection has ended.
			if other.ID != h.ID && (h.Break == "" || other.ID != h.Break) {
				return nil, errors.Join(fmt.Errorf("somebody else changes things here: %s: wait for its end; if it hangs, --break %s takes over", other, other.ID), f.Close())
			}
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // what it has locked is not the file any more
				return nil, errors.Join(err, f.Close())
			}
		}
		_ = f.Close() // the name has another file now
	}
	return nil, errors.New("others take the machine all the time")
}

func second(_ int, err error) error { return err }

func readHold(f *os.File) Hold {
	var h Hold
	b, _ := io.ReadAll(io.NewSectionReader(f, 0, 64<<10))
	if json.Unmarshal(b, &h) != nil {
		h = Hold{ID: "unknown", What: "a run", Who: "somebody"} // it has just begun
	}
	return h
}

// sameFile says whether a name still has the file that was opened by it.
func sameFile(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// mayChange says why a request may not change the machine, or a container of it: another run has taken over from this
// agent's.
func (a *agent) mayChange(op string) error {
	a.holding.Lock()
	defer a.holding.Unlock()
	if a.held == nil || !slices.Contains([]string{OpEnsure, OpRun, OpLend, OpRemove, OpLeave, OpEtcd}, op) || sameFile(a.held, a.m.path(holdFile)) {
		return nil
	}
	by := "another run"
	if f, err := os.Open(a.m.path(holdFile)); err == nil {
		by = readHold(f).String()
		_ = f.Close() // only read
	}
	return fmt.Errorf("nothing more is changed here: %s has taken over", by)
}

// letGo ends the hold: the deployer has gone, so no more will be asked for. What is under way another lock keeps from
// others.
func (a *agent) letGo() {
	a.holding.Lock()
	defer a.holding.Unlock()
	if a.held != nil {
		_ = a.held.Close() // unlocks
		a.held = nil
	}
}

// holder is the run that holds the machine, nil if none does.
func holder(m *Machine) *Hold {
	f, err := os.Open(m.path(holdFile))
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // unlocks, should it have been free
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return nil
	}
	h := readHold(f)
	return &h
}
