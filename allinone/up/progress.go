package up

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/jeroboam-cloud/jeroboam/allinone/lifecycle"
)

// progress tells a person, or a program, how far things are: one line for each thing that is done.
type progress struct {
	mu    sync.Mutex
	out   io.Writer
	json  bool
	begin time.Time
}

func newProgress(out io.Writer, asJSON bool) *progress {
	return &progress{out: out, json: asJSON, begin: time.Now()}
}

// say writes one line. What a person reads is text; a program gets event and facts.
func (p *progress) say(event string, facts ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.json {
		line := map[string]any{"event": event, "elapsed": time.Since(p.begin).Seconds()}
		for i := 0; i+1 < len(facts); i += 2 {
			line[fmt.Sprint(facts[i])] = facts[i+1]
		}
		_ = json.NewEncoder(p.out).Encode(line) // nobody to tell when standard output is gone
		return
	}
	text := ""
	for i := 0; i+1 < len(facts); i += 2 {
		text += fmt.Sprintf("  %v", facts[i+1])
	}
	_, _ = fmt.Fprintf(p.out, "%7.1fs  %s%s\n", time.Since(p.begin).Seconds(), event, text)
}

func (p *progress) step(e lifecycle.Event) {
	switch e.State {
	case lifecycle.Running, lifecycle.Stopped:
		p.say(e.Step, "state", string(e.State), "took", fmt.Sprintf("%.2fs", e.Elapsed.Seconds()))
	case lifecycle.Failed:
		p.say(e.Step, "state", "failed", "error", fmt.Sprint(e.Err))
	case lifecycle.Starting, lifecycle.Stopping:
	}
}

func (p *progress) serving(magnum, keystone, clouds string) {
	p.say("serving", "magnum", "Magnum API "+magnum, "keystone", "Keystone "+keystone, "clouds", clouds)
}

// next says what to type.
func (p *progress) next(g ground, kubeconfig string, first bool) {
	if p.json {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintf(p.out, `
Now, in another terminal:

  export OS_CLIENT_CONFIG_FILE=%s OS_CLOUD=%s
  openstack coe cluster list
`, g.clouds, g.tenant)
	if first {
		_, _ = fmt.Fprintf(p.out, `  openstack coe cluster config %s --dir /tmp --force
  kubectl --kubeconfig /tmp/config get nodes
`, firstClusterName)
	}
	_, _ = fmt.Fprintf(p.out, `
%sThe management cluster: kubectl --kubeconfig %s -n magnum-system get magnum
Ctrl-C ends everything; the next start comes back with the same clusters.
`, g.remark, kubeconfig)
}
