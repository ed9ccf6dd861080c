package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"time"
)

var statsSocket = regexp.MustCompile(`(?m)^\s*stats\s+socket\s+(\S+)`)

// StatsSocket sends one command to haproxy's stats socket, which OpenStack-Ansible's configuration has with level admin.
func StatsSocket(ctx context.Context, m *Machine, command string) (string, error) {
	found := statsSocket.FindStringSubmatch(m.read("/etc/haproxy/haproxy.cfg"))
	if found == nil {
		return "", errors.New("haproxy has no stats socket")
	}
	conn, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "unix", m.path(found[1]))
	if err != nil {
		return "", fmt.Errorf("ask haproxy: %w", err)
	}
	defer func() { _ = conn.Close() }() // the answer is read
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", fmt.Errorf("ask haproxy: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(conn, 1<<20))
	return string(text), err
}
