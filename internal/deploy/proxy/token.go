package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/manifests"
)

// hostLabel is on the Secrets that tokens are bound to; its value is the name of the host or node.
const hostLabel = "jeroboam.cloud/proxy-host"

// validity is a year, as that of kubeadm's own certificates, with which tokens are renewed.
const validity = 365 * 24 * time.Hour

// account is a service account that hosts have tokens of.
type account struct{ namespace, name string }

// fleet is the hosts' account, access that of "jeroboam proxy access" (internal/proxy/manifests/access.yaml).
func fleet() account { return account{"jeroboam-proxy", "jeroboam-proxy"} }

func access() account { return account{v1alpha1.Namespace, "jeroboam-proxy-access"} }

func (a account) subject() string { return "system:serviceaccount:" + a.namespace + ":" + a.name }

// accountOf is the account that a kubeconfig is of.
func accountOf(path string) account {
	if path == accessKubeconfig {
		return access()
	}
	return fleet()
}

// manifest is what the management cluster must hold. The account's token that never ends is left out: each host has one
// of its own. Without Jeroboam's server nobody else makes the namespace of clusters.
func manifest(withNamespace bool) []byte {
	var out []string
	if withNamespace {
		out = append(out, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: "+v1alpha1.Namespace+"\n")
	}
	for _, document := range strings.Split(manifests.Access, "\n---\n") {
		if !strings.Contains(document, "\nkind: Secret\n") {
			out = append(out, document)
		}
	}
	return []byte(strings.Join(out, "\n---\n"))
}

// Component is the same as what a bundle brings is.
func Component(withNamespace bool) site.Component {
	return site.Component{Name: Group, Manifest: manifest(withNamespace)}
}

// granted are the UIDs of the Secrets that tokens of an account are bound to, by host. Before there is a cluster, or
// the account's namespace, there are none.
func granted(ctx context.Context, c client.Client, a account) (map[string]string, error) {
	var list corev1.SecretList
	if err := c.List(ctx, &list, client.InNamespace(a.namespace), client.HasLabels{hostLabel}); err != nil {
		return nil, fmt.Errorf("list the hosts that have tokens of %s: %w", a.name, err)
	}
	out := map[string]string{}
	for _, s := range list.Items {
		if s.DeletionTimestamp == nil && s.Name == a.secret(s.Labels[hostLabel]) {
			out[s.Labels[hostLabel]] = string(s.UID)
		}
	}
	return out, nil
}

// secret is the name of the Secret of one host: what is no name of an object becomes a dash.
func (a account) secret(host string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, strings.ToLower(host))
	return a.name + "-" + name
}

// request is what a host's token is made of.
type request struct {
	account account
	host    string
	server  string
	ca      []byte
}

// grant makes a token for one host and a kubeconfig of it. The Secret that it is bound to is found or made, and says in
// words what it is for; it holds nothing.
func grant(ctx context.Context, c client.Client, r request) (string, error) {
	a := r.account
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: a.namespace, Name: a.secret(r.host), Labels: map[string]string{hostLabel: r.host},
			Annotations: map[string]string{"jeroboam.cloud/purpose": "the token of " + r.host + " is good as long as this Secret is there"},
		},
	}
	err := c.Create(ctx, s)
	if apierrors.IsAlreadyExists(err) {
		err = c.Get(ctx, client.ObjectKeyFromObject(s), s)
		if err == nil && s.Labels[hostLabel] != r.host {
			err = fmt.Errorf("the Secret %s in %s is of host %q: two hosts have the same name there", s.Name, a.namespace, s.Labels[hostLabel])
		}
	}
	if err != nil {
		return "", fmt.Errorf("make the Secret of %s: %w", r.host, err)
	}
	seconds := int64(validity / time.Second)
	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Secret", APIVersion: "v1", Name: s.Name, UID: s.UID},
	}}
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: a.name}}
	if err := c.SubResource("token").Create(ctx, sa, token); err != nil {
		return "", fmt.Errorf("ask for a token of %s: %w", a.name, err)
	}
	if token.Status.Token == "" {
		return "", errors.New("the cluster gave an empty token")
	}
	return kube.Config(r.server, r.ca, a.name, clientcmdapi.AuthInfo{Token: token.Status.Token})
}

// revoke ends the token of a host.
func revoke(ctx context.Context, c client.Client, a account, host string) error {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: a.secret(host)}}
	if err := client.IgnoreNotFound(c.Delete(ctx, s)); err != nil {
		return fmt.Errorf("end the token of %s: %w", host, err)
	}
	return nil
}
