package inmemory

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cluster-api/util/certs"
	"sigs.k8s.io/cluster-api/util/secret"
)

// presenter chooses what API servers show of themselves. Cluster API's mux makes one certificate for all API servers of
// a cluster when the first comes, and keeps it for good; real ones get theirs from the authority as it is when their
// machine is made. Here all of them show another one as soon as another authority signs.
type presenter struct {
	*authenticator

	theirs func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	made sync.Map // name of the cluster -> *presented
}

type presented struct {
	authority   string // the certificate that signed, PEM
	certificate *tls.Certificate
}

func (p *presenter) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	found, err := p.theirs(hello)
	if err != nil || found == nil {
		return found, err
	}
	local, ok := hello.Conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return found, nil
	}
	cluster, err := p.cluster(local.Port)
	if err != nil {
		return found, nil //nolint:nilerr // as Cluster API has it
	}
	leaf, err := x509.ParseCertificate(found.Certificate[0])
	if err != nil || leaf.Subject.CommonName != "kube-apiserver" { // a member of etcd
		return found, err
	}
	return p.ofToday(hello.Context(), cluster, leaf, found)
}

// ofToday is the certificate by the authority that signs today.
func (p *presenter) ofToday(ctx context.Context, cluster types.NamespacedName, leaf *x509.Certificate, found *tls.Certificate) (*tls.Certificate, error) {
	ca := &corev1.Secret{}
	err := p.secrets.Get(ctx, types.NamespacedName{Namespace: cluster.Namespace, Name: secret.Name(cluster.Name, secret.ClusterCA)}, ca)
	if apierrors.IsNotFound(err) {
		return found, nil // a cluster that goes: nobody is let in, and is told so in words
	}
	if err != nil {
		return nil, fmt.Errorf("read the authority of cluster %s: %w", cluster, err)
	}
	signer, err := certs.DecodeCertPEM(ca.Data[secret.TLSCrtDataName])
	if err != nil || signer == nil {
		return nil, fmt.Errorf("the authority of cluster %s has no certificate: %w", cluster, err)
	}
	if leaf.CheckSignatureFrom(signer) == nil {
		return found, nil
	}
	authority := string(certs.EncodeCertPEM(signer))
	if known, ok := p.made.Load(cluster.String()); ok && known.(*presented).authority == authority {
		return known.(*presented).certificate, nil
	}
	signs, err := certs.DecodePrivateKeyPEM(ca.Data[secret.TLSKeyDataName])
	if err != nil || signs == nil {
		return found, nil //nolint:nilerr // an authority whose key is elsewhere signs elsewhere
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	next := &x509.Certificate{
		SerialNumber: leaf.SerialNumber, Subject: leaf.Subject, DNSNames: leaf.DNSNames, IPAddresses: leaf.IPAddresses,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: signer.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: leaf.ExtKeyUsage,
	}
	der, err := x509.CreateCertificate(rand.Reader, next, signer, key.Public(), signs)
	if err != nil {
		return nil, fmt.Errorf("sign for cluster %s: %w", cluster, err)
	}
	made := &presented{authority, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
	p.made.Store(cluster.String(), made)
	return made.certificate, nil
}
