package backups

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jeroboam-cloud/jeroboam/internal/backup"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Restore is a backup that a new control plane is made of. Everything else is as in any deployment: only its first node
// gets authorities and etcd's data before kubeadm init, and the others join it.
type Restore struct {
	// Name is what the operator calls the archive, Digest its digest, Key what opens it and nothing else.
	Name   string
	Digest string
	Key    []byte
	// Manifest is what it is; it has been checked as a whole.
	Manifest backup.Manifest
	// Open opens it, encrypted.
	Open func() (io.ReadCloser, error)
}

// Begun says whether this very restore has begun on a node.
func (r Restore) Begun(n host.Node) bool { return n.Restoring == r.Digest }

// PutAt brings the archive to a node, as it is, and the key that opens it: the node gets authorities and etcd's data.
// It is in clear in nothing but the node's own files.
func (r Restore) PutAt(ctx context.Context, run site.Run, step string, n intent.Node, p site.Place, facts host.Facts) error {
	physical := site.Place{Host: n.PhysicalHost}
	run.Say(step, n.Name, "bring %s there", r.Name)
	f, err := r.Open()
	if err != nil {
		return err
	}
	err = run.Hosts[n.PhysicalHost].Upload(ctx, r.Digest, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if p.Container != "" {
		if _, err := site.Ask[struct{}](ctx, run.Hosts, physical, host.OpLend, host.Loan{Container: p.Container, Digests: []string{r.Digest}}); err != nil {
			return err
		}
	}
	run.Say(step, n.Name, "authorities and etcd's data")
	order := backup.Order{Archive: r.Digest, Key: r.Key, Node: n.NodeName, Peer: "https://" + net.JoinHostPort(n.NodeIP, "2380")}
	var m backup.Manifest
	if err := runAgent(ctx, run.Hosts, p, facts, "--restore", order, &m); err != nil {
		return err
	}
	return r.forget(ctx, run, p, physical)
}

// forget removes the archive from the stores; the operator has it.
func (r Restore) forget(ctx context.Context, run site.Run, places ...site.Place) error {
	for _, p := range places {
		gone := []host.Item{{File: &host.File{Path: host.BlobPath(r.Digest), Gone: true}}}
		if _, err := site.Ask[struct{}](ctx, run.Hosts, p, host.OpEnsure, gone); err != nil {
			return err
		}
	}
	return nil
}
