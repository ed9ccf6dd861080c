package deploytest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Glanced is a host that is looked at by shell script, and on which nobody may do more. There is nothing on it.
type Glanced struct {
	Agent

	T     *testing.T
	Hangs int // from this look on; 0: never
	looks int
}

// Call fails the test: it would take an agent.
func (g *Glanced) Call(context.Context, string, string, any, any, func(json.RawMessage)) error {
	g.T.Error("an agent was brought to " + g.Host)
	return errors.New("no agent")
}

// Script answers a look.
func (g *Glanced) Script(_ context.Context, script string) (string, error) {
	g.looks++
	if g.Hangs > 0 && g.looks >= g.Hangs {
		return "", errors.New("host " + g.Host + ": no answer")
	}
	out := "T 1764000000.0 1000.0\n"
	for line := range strings.Lines(script) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "u '"); ok {
			out += fmt.Sprintf("U %s %s\n", base64.StdEncoding.EncodeToString([]byte(strings.TrimSuffix(name, "'"))), base64.StdEncoding.EncodeToString([]byte("LoadState=not-found\n")))
		}
	}
	return out + "E\n", nil
}

// Glance makes Glanced of a town's hosts of the proxy, one of which hangs from its look on.
func (w *Town) Glance(t *testing.T, hangs string, look int) (hosts map[string]*Glanced) {
	t.Helper()
	hosts = map[string]*Glanced{}
	for _, h := range w.In.Proxy.Hosts {
		hosts[h.Name] = &Glanced{Agent: Agent{Host: h.Name}, T: t}
	}
	hosts[hangs].Hangs = look
	return hosts
}
