package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// KindServerCertificate is what plans call one.
const KindServerCertificate = "TLS certificate"

// ServerCertificate is what a TLS server shows, signed by an authority that the deployer has. It is made when the plan
// has it; until then only what it must say is known. Looking at one tells nothing of its key.
type ServerCertificate struct {
	// Path is the certificate with its chain, Key its key.
	Path  string      `json:"path"`
	Key   string      `json:"key"`
	Mode  fs.FileMode `json:"mode"`
	Owner string      `json:"owner"`
	// Names and addresses the server is known by; Authority is the hash of the public key that signs.
	Names     []string `json:"names"`
	Authority string   `json:"authority"`
	// Before is how long before its end it is renewed.
	Before time.Duration `json:"before"`
	// Content and KeyContent are what to write.
	Content    string `json:"content,omitempty"`
	KeyContent string `json:"keyContent,omitempty"`
}

func (c *ServerCertificate) thing(plan.Facts) plan.Thing {
	return plan.Thing{Kind: KindServerCertificate, Name: c.Path, Secret: true, Want: plan.Facts{
		"mode": (&File{Mode: c.Mode}).modeText(), "owner": c.Owner, "names": namesText(c.Names), "authority": c.Authority, "key": "its own", "fresh": "yes",
	}}
}

func namesText(names []string) string {
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" })
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

func (c *ServerCertificate) observe(ctx context.Context, m *Machine) (plan.Facts, error) {
	have, err := (&File{Path: c.Key, Secret: true}).observe(ctx, m)
	if have == nil || err != nil {
		return nil, err
	}
	delete(have, "sha256")
	text, err := os.ReadFile(m.path(c.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // half of it is none
	}
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(m.path(c.Key))
	if err != nil {
		return nil, err
	}
	have["fresh"], have["key"] = "no", "another's"
	if pair, err := tls.X509KeyPair(text, key); err == nil {
		have["key"] = "its own"
		describeChain(pair.Certificate, have, m.Now().Add(c.Before))
	}
	return have, nil
}

// describeChain says who a certificate is for, who signed it, and whether it is good until a time.
func describeChain(chain [][]byte, have plan.Facts, until time.Time) {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return // it is replaced
	}
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	have["names"] = namesText(names)
	if len(chain) > 1 {
		if issuer, err := x509.ParseCertificate(chain[1]); err == nil && leaf.CheckSignatureFrom(issuer) == nil {
			have["authority"] = pki.PublicKeyHash(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[1]}))
		}
	}
	if leaf.NotAfter.After(until) {
		have["fresh"] = "yes"
	}
}

// ensure writes the key first: a run that is killed in between leaves two that do not belong together, which the next
// one sees. The server goes on with what it has read.
func (c *ServerCertificate) ensure(ctx context.Context, m *Machine) error {
	if c.Content == "" || c.KeyContent == "" {
		return errors.New("nobody has made the certificate")
	}
	err := (&File{Path: c.Key, Content: c.KeyContent, Mode: c.Mode, Owner: c.Owner, Secret: true}).ensure(ctx, m)
	if err != nil {
		return err
	}
	return (&File{Path: c.Path, Content: c.Content, Mode: c.Mode, Owner: c.Owner}).ensure(ctx, m)
}
