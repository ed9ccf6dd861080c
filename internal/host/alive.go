package host

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// Life is what is seen of a server from a machine. That nothing answers is an answer; an error is only that the machine
// could not be asked.
type Life struct {
	// Answers: somebody speaks TLS there, whether or not we may. Why says why not, in words.
	Answers bool   `json:"answers"`
	Why     string `json:"why,omitempty"`
}

// aliveWithin is how long a server has to answer.
const aliveWithin = 5 * time.Second

// Alive looks whether a server of TLS answers at an address. One that wants a certificate, or hangs up when it has seen
// ours, is there. Nothing is sent to it beyond the handshake, and nothing it says is believed.
func Alive(ctx context.Context, address string) Life {
	ctx, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return Life{Why: err.Error()}
	}
	defer func() { _ = conn.Close() }()                                                        // nothing of it is wanted
	t := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec // see above
	switch err = t.HandshakeContext(ctx); {
	case err == nil:
		return Life{Answers: true}
	case errors.Is(err, context.DeadlineExceeded):
		return Life{Why: "it takes connections and says nothing"}
	case errors.Is(err, io.EOF):
		return Life{Answers: true, Why: "it hangs up"}
	}
	return Life{Answers: true, Why: err.Error()}
}
