package host_test

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

func TestAlive(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	open := httptest.NewTLSServer(nil)
	defer open.Close()
	closed := httptest.NewUnstartedServer(nil) // etcd is like it
	closed.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
	closed.StartTLS()
	defer closed.Close()
	hangsUp, silent, nobody := listen(), listen(), listen()
	go func() {
		for {
			c, err := hangsUp.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	_ = nobody.Close()
	for _, tt := range []struct {
		reason  string
		address string
		want    bool
	}{
		{"a server that everybody may speak to", open.Listener.Addr().String(), true},
		{"one that wants a certificate of its clients", closed.Listener.Addr().String(), true},
		{"one that hangs up", hangsUp.Addr().String(), true},
		{"a machine whose kernel takes connections while the server is stopped", silent.Addr().String(), false},
		{"nobody", nobody.Addr().String(), false},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			got := host.Alive(t.Context(), tt.address)
			if got.Answers != tt.want || !got.Answers && got.Why == "" {
				t.Errorf("%+v", got)
			}
		})
	}
}
