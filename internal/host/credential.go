package host

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Credential is the kubeconfig of one account: a client certificate, or a token that is bound to a Secret. It is made
// in the cluster when the plan has it; until then only what it must say is known. Looking at one tells nothing secret
// of it.
type Credential struct {
	Path  string      `json:"path"`
	Mode  fs.FileMode `json:"mode"`
	Owner string      `json:"owner"`
	// Server is the API server's URL, Authority the hash of its authority's public key ("" before there is a cluster).
	Server    string `json:"server"`
	Authority string `json:"authority,omitempty"`
	// User is the certificate's common name, or the token's subject. Bound is the UID of the Secret that a token ends
	// with.
	User  string `json:"user"`
	Bound string `json:"bound,omitempty"`
	// Before is how long before its end it is renewed.
	Before time.Duration `json:"before"`
	// Content is the kubeconfig to write.
	Content string `json:"content,omitempty"`
}

func (c *Credential) thing(plan.Facts) plan.Thing {
	t := plan.Thing{Kind: "credential", Name: c.Path, Secret: true, Want: plan.Facts{
		"mode": (&File{Mode: c.Mode}).modeText(), "owner": c.Owner, "server": c.Server, "user": c.User, "fresh": "yes",
	}}
	if c.Authority != "" {
		t.Want["authority"] = c.Authority
	}
	if c.Bound != "" {
		t.Want["bound"] = c.Bound
	}
	return t
}

func (c *Credential) observe(ctx context.Context, m *Machine) (plan.Facts, error) {
	have, err := (&File{Path: c.Path, Secret: true}).observe(ctx, m)
	if have == nil || err != nil {
		return nil, err
	}
	delete(have, "sha256")
	text, err := os.ReadFile(m.path(c.Path))
	if err != nil {
		return nil, err
	}
	cfg, err := clientcmd.Load(text)
	if err != nil {
		have["fresh"] = "no" // whatever it is, it is replaced
		return have, nil     //nolint:nilerr // see above
	}
	describeCredential(cfg, have, m.Now().Add(c.Before))
	return have, nil
}

// describeCredential says whose a kubeconfig is, and whether it is good until a time.
func describeCredential(cfg *clientcmdapi.Config, have plan.Facts, until time.Time) {
	have["fresh"] = "no"
	use := cfg.Contexts[cfg.CurrentContext]
	if use == nil {
		return
	}
	if cluster := cfg.Clusters[use.Cluster]; cluster != nil {
		have["server"], have["authority"] = cluster.Server, pki.PublicKeyHash(cluster.CertificateAuthorityData)
	}
	account := cfg.AuthInfos[use.AuthInfo]
	if account == nil {
		return
	}
	end := time.Time{}
	if block, _ := pem.Decode(account.ClientCertificateData); block != nil {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			have["user"], end = cert.Subject.CommonName, cert.NotAfter
		}
	} else if claims, ok := claimsOf(account.Token); ok {
		have["user"], have["bound"], end = claims.Subject, claims.Kubernetes.Secret.UID, time.Unix(claims.Expires, 0)
	}
	if end.After(until) {
		have["fresh"] = "yes"
	}
}

// claims are what a service account's token says of itself (Kubernetes: "Service account token structure").
type claims struct {
	Subject    string `json:"sub"`
	Expires    int64  `json:"exp"`
	Kubernetes struct {
		Secret struct {
			UID string `json:"uid"`
		} `json:"secret"`
	} `json:"kubernetes.io"`
}

// claimsOf reads a token without verifying it: only the API server can, and this only asks when to get another one.
func claimsOf(token string) (claims, bool) {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	return c, err == nil && json.Unmarshal(text, &c) == nil
}

func (c *Credential) ensure(ctx context.Context, m *Machine) error {
	if c.Content == "" {
		return errors.New("nobody has made the credential")
	}
	return (&File{Path: c.Path, Content: c.Content, Mode: c.Mode, Owner: c.Owner, Secret: true}).ensure(ctx, m)
}
