package host_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// balancer answers on haproxy's stats socket with servers of one backend; flags are srv_admin_state.
type balancer struct {
	mu    sync.Mutex
	flags map[string]int
	told  []string
}

func (b *balancer) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil {
			_, err = conn.Write([]byte(b.answer(strings.TrimSpace(line))))
		}
		if err == nil {
			err = conn.Close()
		}
		if err != nil {
			return // whoever asked sees it
		}
	}
}

func (b *balancer) answer(command string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.HasPrefix(command, "show servers state k8s-back") {
		out := "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n"
		for _, name := range []string{"n1", "n2", "n3"} {
			out += fmt.Sprintf("5 k8s-back 1 %s 10.0.0.1 2 %d 1\n", name, b.flags[name])
		}
		return out + "\n"
	}
	b.told = append(b.told, command)
	if f := strings.Fields(command); len(f) == 5 && f[3] == "state" && f[4] == "ready" {
		b.flags[strings.TrimPrefix(f[2], "k8s-back/")] = 0
		return "\n"
	}
	return "No such server.\n\n"
}

// TestDrainedServersTakeClientsAgain: a run that was killed while it changed a node has left the load balancer without
// it.
func TestDrainedServersTakeClientsAgain(t *testing.T) {
	owner(t)
	m, ran := machine(t, map[string]string{"systemctl show": "LoadState=loaded\nActiveState=active\nMainPID=0\n", "systemctl reload-or-restart": "", "haproxy -c": ""})
	const config = "global\n    stats socket /run/haproxy.sock level admin\n"
	put(t, m, "/etc/haproxy/conf.d/00-haproxy", config)
	put(t, m, "/etc/haproxy/haproxy.cfg", config)
	put(t, m, "/run/empty", "")
	l, err := net.Listen("unix", m.Root+"/run/haproxy.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // nothing is asked any more
	// n2 was drained by command; n3 is in maintenance, which is the operator's.
	b := &balancer{flags: map[string]int{"n2": 0x08, "n3": 0x01}}
	go b.serve(l)

	i := host.Item{Place: "lb", HAProxy: &host.HAProxy{Fragments: "/etc/haproxy/conf.d", Config: "/etc/haproxy/haproxy.cfg", Unit: "haproxy.service", Backends: []string{"k8s-back"}}}
	drained := func() string {
		t.Helper()
		have, err := host.Observe(t.Context(), m, []host.Item{i})
		if err != nil {
			t.Fatal(err)
		}
		return have[0]["drained"]
	}
	if got := drained(); got != "k8s-back/n2" {
		t.Fatalf("drained: %q", got)
	}
	*ran = nil
	if err := host.Ensure(t.Context(), m, []host.Item{i}, func(host.Event) {}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"set server k8s-back/n2 state ready"}, b.told); diff != "" {
		t.Error(diff)
	}
	if got := drained(); got != "none" {
		t.Errorf("still drained: %q", got)
	}
}
