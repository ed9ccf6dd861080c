package host

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// EtcdMember is a member of etcd's cluster. One without a name has been added and has not started yet.
type EtcdMember struct {
	ID       string   `json:"ID"`
	Name     string   `json:"name"`
	PeerURLs []string `json:"peerURLs"`
	Learner  bool     `json:"isLearner"`
}

// EtcdCall is a call of etcd's JSON gateway on this machine, such as "/v3/cluster/member/list".
type EtcdCall struct {
	Path string          `json:"path"`
	Body json.RawMessage `json:"body"`
}

const etcdAddress = "https://127.0.0.1:2379"

// CallEtcd calls this machine's etcd with kubeadm's client certificate for health checks.
func CallEtcd(ctx context.Context, m *Machine, c EtcdCall) (json.RawMessage, error) {
	client, err := m.etcdClient()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, etcdAddress+c.Path, bytes.NewReader(c.Body))
	if err != nil {
		return nil, err
	}
	return ask(client, req)
}

func ask(client *http.Client, req *http.Request) (json.RawMessage, error) {
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask etcd: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // read to the end
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("ask etcd: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("etcd answers %d: %s", res.StatusCode, bytes.TrimSpace(body))
	}
	return body, nil
}

func (m *Machine) etcdClient() (*http.Client, error) {
	pki := m.path(kubernetesDir + "/pki/etcd/")
	cert, err := tls.LoadX509KeyPair(pki+"/healthcheck-client.crt", pki+"/healthcheck-client.key")
	if err != nil {
		return nil, fmt.Errorf("etcd's client certificate: %w", err)
	}
	ca, err := os.ReadFile(pki + "/ca.crt")
	if err != nil {
		return nil, fmt.Errorf("etcd's authority: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}},
	}, nil
}

// etcdHealth asks for members and for a linearizable read, which needs a quorum.
func (m *Machine) etcdHealth(ctx context.Context) ([]EtcdMember, string) {
	var list struct {
		Members []EtcdMember `json:"members"`
	}
	body, err := CallEtcd(ctx, m, EtcdCall{Path: "/v3/cluster/member/list", Body: json.RawMessage(`{}`)})
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	if err != nil {
		return nil, err.Error()
	}
	client, err := m.etcdClient()
	if err != nil {
		return list.Members, err.Error()
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, etcdAddress+"/health", nil)
	if err != nil {
		return list.Members, err.Error()
	}
	var health struct {
		Health string `json:"health"`
		Reason string `json:"reason"`
	}
	body, err = ask(client, req)
	if err == nil {
		err = json.Unmarshal(body, &health)
	}
	switch {
	case err != nil:
		return list.Members, err.Error()
	case health.Health != "true":
		return list.Members, "unhealthy: " + health.Reason
	}
	return list.Members, "ok"
}

// Answers gives the status code of an HTTPS server, whoever signed its certificate: it is asked whether it serves,
// nothing is sent to it and nothing it says is believed.
func Answers(ctx context.Context, url string) (int, error) {
	client := &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, //nolint:gosec // see above
			DisableKeepAlives: true,
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, errors.Unwrap(err) // without the method and URL, which the caller knows
	}
	_ = res.Body.Close() // nothing of it is read
	return res.StatusCode, nil
}
