package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var statsSocket = regexp.MustCompile(`(?m)^\s*stats\s+socket\s+(\S+)`)

// StatsSocket sends one command to haproxy's stats socket, which OpenStack-Ansible's configuration has with level
// admin.
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

// forcedDrain is the flag of srv_admin_state for "set server … state drain" (haproxy's management guide, section 9.3,
// "show servers state").
const forcedDrain = 0x08

// drainedServers reads the answer to "show servers state": servers, as backend/server, that were drained by command.
// One that is down is not told from one that is up by "show stat", which has only one word for both.
func drainedServers(text string) []string {
	var out []string
	var at map[string]int
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 1 && f[0] == "#" {
			at = map[string]int{}
			for i, name := range f[1:] {
				at[name] = i
			}
			continue
		}
		state, ok := at["srv_admin_state"]
		if !ok || len(f) <= max(state, at["be_name"], at["srv_name"]) {
			continue
		}
		if flags, err := strconv.Atoi(f[state]); err == nil && flags&forcedDrain != 0 {
			out = append(out, f[at["be_name"]]+"/"+f[at["srv_name"]])
		}
	}
	return out
}
