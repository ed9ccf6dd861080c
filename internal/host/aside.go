package host

import (
	"context"
	"os"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// Aside keeps what somebody else wrote at a path where we write, so that it can come back. Ours is told by its first
// line.
type Aside struct {
	Path string `json:"path"`
	// To is where the other's file is kept.
	To string `json:"to"`
	// Mark begins our files.
	Mark string `json:"mark"`
	// Back puts the other's file in its place again; one of ours with nothing kept beside it goes.
	Back bool `json:"back,omitempty"`
}

func (a *Aside) thing(plan.Facts) plan.Thing {
	if a.Back {
		return plan.Thing{Kind: "original", Name: a.Path, Want: plan.Facts{"of": "others"}}
	}
	return plan.Thing{Kind: "original", Name: a.Path, Want: plan.Facts{"kept": a.To}}
}

// observe has no word for an absence: what is not there needs no keeping, and is no way back.
func (a *Aside) observe(_ context.Context, m *Machine) (plan.Facts, error) {
	text, err := os.ReadFile(m.path(a.Path))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	there := err == nil
	ours := there && strings.HasPrefix(string(text), a.Mark)
	if a.Back {
		if ours || !there && m.exists(a.To) {
			return plan.Facts{"of": "jeroboam"}, nil
		}
		return plan.Facts{"of": "others"}, nil
	}
	if there && !ours && string(text) != m.read(a.To) {
		return plan.Facts{"kept": "no"}, nil
	}
	return plan.Facts{"kept": a.To}, nil
}

func (a *Aside) ensure(_ context.Context, m *Machine) error {
	switch {
	case !a.Back:
		return copyFile(m.path(a.Path), m.path(a.To))
	case m.exists(a.To):
		return os.Rename(m.path(a.To), m.path(a.Path))
	}
	return os.Remove(m.path(a.Path))
}

// copyFile copies with mode and owner; what is at the other end is whole or not there.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	tmp, err := os.OpenFile(to+temporaryMark+"new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when all went well
	defer func() { _ = tmp.Close() }()           // written and synced by then
	if _, err := tmp.Write(text); err != nil {
		return err
	}
	if err := tmp.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	if uid, gid, ok := idsOf(info); ok && os.Geteuid() == 0 {
		if err := tmp.Chown(uid, gid); err != nil {
			return err
		}
	}
	return whole.Name(tmp.Name(), to)
}
