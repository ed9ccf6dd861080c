package capi

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// A server that runs is a success to Nova and to Cluster API's provider. What became of it is on its console only:
// cloud-init writes there what the commands of its user data say.
const (
	// consoleAfter is how long a server runs before its console is read. An image without kubeadm has said so after ten
	// seconds; one that is as it should be becomes a node within a minute or two, and is asked for a few times until then.
	consoleAfter = 15 * time.Second
	// nodeWithin is how long a server may run before a node should have come of it. An image boots, kubeadm pulls images
	// and joins: minutes.
	nodeWithin = 5 * time.Minute
)

// bare is a machine whose server runs and has not become a node.
type bare struct {
	machine, server string
	since           time.Time
}

func (o Observed) bare(p *kube.Provider) []bare {
	var out []bare
	if p == nil {
		return nil
	}
	for _, m := range o.Machines {
		c := condition(m.Status.Conditions, clusterv1.MachineInfrastructureReadyCondition)
		if m.DeletionTimestamp != nil || m.Status.NodeRef.IsDefined() || c == nil || c.Status != metav1.ConditionTrue {
			continue
		}
		b := bare{machine: m.Spec.InfrastructureRef.Name, since: c.LastTransitionTime.Time}
		for _, s := range p.Servers {
			if s.Name == b.machine {
				b.server = s.ID
			}
		}
		out = append(out, b)
	}
	return out
}

// Nodeless are the IDs of servers that have run for a while and have not become nodes: their consoles may say why.
func (o Observed) Nodeless(p *kube.Provider, now time.Time) []string {
	var out []string
	for _, b := range o.bare(p) {
		if b.server != "" && now.Sub(b.since) >= consoleAfter {
			out = append(out, b.server)
		}
	}
	return out
}

// nodeless are servers that cannot become nodes by what their console says, and those that have not become one in time.
func (o Observed) nodeless(p *kube.Provider, console map[string]string, now time.Time) []Trouble {
	var out []Trouble
	for _, b := range o.bare(p) {
		since := b.since.UTC().Format("15:04 MST")
		switch cause := BootFailure(console[b.server]); {
		case cause != "":
			out = append(out, Trouble{Machine: b.machine, Text: fmt.Sprintf(
				"its server %s has run since %s without becoming a node: %s; \"openstack console log show %[1]s\" has the rest", b.server, since, cause)})
		case now.Sub(b.since) >= nodeWithin:
			out = append(out, Trouble{Machine: b.machine, Text: fmt.Sprintf(
				"its server %s has run since %s without becoming a node; \"openstack console log show %[1]s\" says whether its image starts kubeadm and kubelet",
				b.server, since)})
		}
	}
	return out
}

//nolint:gochecknoglobals // compiled once
var (
	// What dash and bash say of a program that is not there.
	noProgram = regexp.MustCompile(`\b(kubeadm|kubelet|containerd|crictl|ctr): (?:command )?not found`)
	// What systemctl says, in the words of its releases from 247 on.
	noUnit = regexp.MustCompile(`\b(kubelet|containerd)\.service (?:does not exist|not found|could not be found)`)
	// kubeadm 1.36: one line for each preflight check that failed.
	preflight = regexp.MustCompile(`\[ERROR ([^\]\s]+)\]: ([^\r\n]+)`)
	// kubeadm 1.36: the phase in which it gave up.
	gaveUp = regexp.MustCompile(`error execution phase ([^\r\n]+)`)
)

// BootFailure finds on a server's console why no node comes of it; "" when nothing there says so. Cluster API's user
// data run kubeadm once, so what is found is no passing trouble. Whoever owns the server writes what its console says:
// it is short.
func BootFailure(console string) string { return shorten(bootFailure(console)) }

func bootFailure(console string) string {
	if m := noProgram.FindStringSubmatch(console); m != nil {
		return "its image has no " + m[1]
	}
	if m := noUnit.FindStringSubmatch(console); m != nil {
		return "its image has no " + m[1] + ".service"
	}
	const most = 3
	if all := preflight.FindAllStringSubmatch(console, most); len(all) > 0 {
		told := make([]string, len(all))
		for i, m := range all {
			told[i] = m[1] + ": " + clean(m[2])
		}
		return "kubeadm refuses: " + strings.Join(told, "; ")
	}
	if all := gaveUp.FindAllStringSubmatch(console, -1); len(all) > 0 {
		return "kubeadm gave up in the phase " + clean(all[len(all)-1][1])
	}
	return ""
}
