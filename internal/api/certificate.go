package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// authorityKind reads which of a cluster's authorities is meant.
func authorityKind(text string) (string, error) {
	switch text {
	case "", "kubernetes":
		return "kubernetes", nil
	case "etcd":
		return "etcd", nil
	case "front_proxy", "front-proxy":
		return "front_proxy", nil
	}
	return "", invalidInput("ca_cert_type", text, "Value should be one of: kubernetes, etcd, front-proxy")
}

// getCertificate shows an authority's certificate. Rules about certificates compare with the cluster's user: another
// member of the project gets 403 (Magnum 1.14).
func (s *server) getCertificate(ctx context.Context, c *call) (answer, error) {
	kind, err := authorityKind(c.query.Get("ca_cert_type"))
	if err != nil {
		return answer{}, err
	}
	k, g, err := s.findCluster(ctx, c, "certificate:get", "")
	if err != nil {
		return answer{}, err
	}
	certificate, _, err := s.Secrets.CertificateAuthority(ctx, g, k.UUID, kind)
	if err != nil {
		return answer{}, err
	}
	return c.certificate(http.StatusOK, k, kind, "", string(certificate)), nil
}

func (c *call) certificate(status int, k *magnum.Cluster, kind, csr, pem string) answer {
	o := c.object()
	o.open()
	o.str("cluster_uuid", k.UUID)
	if csr != "" {
		o.str("csr", csr)
	}
	o.str("pem", strings.TrimRight(pem, "\n"))
	o.str("ca_cert_type", kind)
	o.links(c.base, "certificates", k.UUID)
	o.close()
	return c.ok(status, o)
}

// signCertificate signs what a client asks to be, which includes system:masters: this is how a kubeconfig is made.
func (s *server) signCertificate(ctx context.Context, c *call) (answer, error) {
	f, err := s.fields(c, "certificate")
	if err != nil {
		return answer{}, err
	}
	f.readOnly("links", "pem", "created_at", "updated_at")
	ident, _ := f.name("cluster_uuid")
	// Magnum had this until 1.10, and gophercloud still offers it.
	bay, _ := f.name("bay_uuid")
	csr, _ := f.text("csr", 1, 64<<10)
	if _, there := f.take("csr"); !there {
		f.mandatory("csr")
	}
	kindText, _ := f.text("ca_cert_type", 0, 64)
	if err := f.done(); err != nil {
		return answer{}, err
	}
	kind, err := authorityKind(kindText)
	if err != nil {
		return answer{}, err
	}
	if ident = textOr(ident, bay); ident == "" {
		return answer{}, magnum.NotFound("Cluster Unset could not be found.")
	}
	k, err := s.Clusters.Cluster(ctx, s.Policy.Scope(c.caller, ""), ident)
	if err != nil {
		var told *magnum.Error
		if errors.As(err, &told) && told.Status == http.StatusNotFound {
			return answer{}, magnum.Invalid("%s", told.Detail) // the cluster is part of the input here
		}
		return answer{}, err
	}
	g, err := s.Policy.Authorize(c.caller, "certificate:create", policy.Target{ProjectID: k.ProjectID, UserID: k.UserID})
	if err != nil {
		return answer{}, err
	}
	certificate, key, err := s.Secrets.CertificateAuthority(ctx, g, k.UUID, kind)
	if err != nil {
		return answer{}, err
	}
	signed, err := s.sign(certificate, key, csr)
	if err != nil {
		return answer{}, err
	}
	return c.certificate(http.StatusCreated, k, kind, csr, string(signed)), nil
}

func (s *server) sign(certificate, key []byte, csr string) ([]byte, error) {
	signed, err := pki.Sign(pki.Authority{CertPEM: certificate, KeyPEM: key}, []byte(csr), pki.Options{Random: s.Entropy, Now: s.Now()})
	var refused *pki.InputError
	if errors.As(err, &refused) {
		return nil, magnum.Invalid("The %s.", strings.TrimSuffix(refused.Error(), "."))
	}
	return signed, err
}

// rotated reads which authority is to be rotated: Magnum's kinds, and the key that signs service account tokens, which
// Magnum does not know. Without a word it is Kubernetes' own.
func rotated(text string) (magnum.Authority, error) {
	switch text {
	case "service_account", "service-account":
		return magnum.AuthorityServiceAccount, nil
	}
	kind, err := authorityKind(text)
	if err != nil {
		return "", invalidInput("ca_cert_type", text, "Value should be one of: kubernetes, etcd, front-proxy, service-account")
	}
	return magnum.Authority(kind), nil
}

// rotateCertificates asks for another authority. Controllers carry it out in steps, each of which replaces machines;
// what the old one signed is refused when all are done. magnum-cluster-api hands out new certificates at once, which do
// not fit the cluster.
func (s *server) rotateCertificates(ctx context.Context, c *call) (answer, error) {
	authority, err := rotated(c.query.Get("ca_cert_type"))
	if err != nil {
		return answer{}, err
	}
	k, g, err := s.findCluster(ctx, c, "certificate:rotate_ca", "")
	if err != nil {
		return answer{}, err
	}
	switch {
	case authority == magnum.AuthorityEtcd:
		return answer{}, magnum.Invalid("Rotating the CA certificate of etcd is not supported. Cluster API uses a certificate of the old " +
			"authority for up to a day, and could not manage the control plane during that time.")
	case k.Template.TLSDisabled:
		return answer{}, magnum.Invalid("Rotating the CA certificate of a cluster without TLS is not supported.")
	case !k.Status.AllowsUpdate():
		return answer{}, magnum.Invalid("Rotating the CA certificate of a cluster when status is %q is not supported.", k.Status)
	case k.Rotating:
		return answer{}, unfinished(k)
	case !k.Rotatable:
		return answer{}, magnum.Invalid("The cluster is older than the rotation of certificates. Upgrade it first, to its own template.")
	}
	if err := s.checkFollowers(ctx, g, k); err != nil {
		return answer{}, err
	}
	_, err = s.Clusters.UpdateCluster(ctx, g, k.UUID, func(now *magnum.Cluster) error {
		if !now.Status.AllowsUpdate() { // somebody was faster
			return magnum.Invalid("Rotating the CA certificate of a cluster when status is %q is not supported.", now.Status)
		}
		if now.Rotating {
			return unfinished(now)
		}
		now.Rotation, now.OperationRequestID = now.Rotation.Again(authority), c.requestID
		return nil
	})
	if err != nil {
		return answer{}, err
	}
	return c.accepted(k.UUID), nil
}

// unfinished refuses a rotation while another one has not come to its end. One that has failed goes on being tried all
// the same; machines and clients trust both its authorities, and only it can take the old one away.
func unfinished(k *magnum.Cluster) error {
	return magnum.Invalid("A rotation of %s is not finished. It is being retried. Fix what the cluster's status_reason says, and "+
		"try again when it is finished.", k.Rotation.Authority)
}

// checkFollowers refuses a rotation while a group stays behind its cluster's version: Cluster API leaves its machines
// as they are, and they would be cut off.
func (s *server) checkFollowers(ctx context.Context, g policy.Grant, k *magnum.Cluster) error {
	groups, err := s.NodeGroups.NodeGroups(ctx, g, k.UUID)
	if err != nil {
		return err
	}
	for _, ng := range groups {
		if ng.Version != "" && ng.Version != kubernetesOf(k) && ng.Role != magnum.RoleMaster {
			return magnum.Invalid("Node group %s is still at Kubernetes %s, so its machines cannot be replaced. Upgrade it by name first, to the "+
				"template that the cluster has now.", ng.Name, ng.Version)
		}
	}
	return nil
}

// rotateCredential gives a cluster another application credential, the caller's, who owns the cluster from then on: the
// way out when the owner's user is gone or lost a role, also for a cluster that cannot be deleted without one. The
// credential before goes at once when it was another user's, and else with the cluster: what runs in the cluster may
// use it for a while.
func (s *server) rotateCredential(ctx context.Context, c *call) (answer, error) {
	k, g, err := s.findCluster(ctx, c, "credential:rotate", "")
	if err != nil {
		return answer{}, err
	}
	if !k.Status.AllowsCredential() {
		return answer{}, magnum.Invalid("Rotating the credential of a cluster when status is %q is not supported.", k.Status)
	}
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), credentialWithin)
	defer cancel()
	name := k.UUID + "-" + s.newUUID()[:8] // a user's credentials have different names
	clouds, bundle, err := s.Credentials.CloudConfig(work, c.token, c.identity, name)
	if errors.Is(err, openstack.ErrForbidden) {
		return answer{}, fmt.Errorf("%w (%w)", magnum.Forbidden("Keystone does not let you make the application credential that the cluster "+
			"needs. Use a token that was not itself made from a restricted application credential."), err)
	}
	if err == nil {
		err = s.Secrets.PutCloudConfig(work, g, k.UUID, clouds, bundle)
	}
	if err != nil {
		return answer{}, fmt.Errorf("give cluster %s another credential: %w", k.UUID, err)
	}
	before := k.UserID
	_, err = s.Clusters.UpdateCluster(work, g, k.UUID, func(now *magnum.Cluster) error {
		now.UserID, now.OperationRequestID = c.caller.UserID, c.requestID
		return nil
	})
	if err != nil {
		return answer{}, err
	}
	if before != c.caller.UserID {
		if err := s.Credentials.TakeBack(work, openstack.Identity{UserID: before}, k.UUID); err != nil {
			s.Logger.LogAttrs(ctx, slog.LevelWarn, "a cluster's credential before stays with its former owner",
				slog.String("cluster", k.UUID), slog.String("user", before), slog.String("problem", err.Error()))
		}
	}
	return c.accepted(k.UUID), nil
}
