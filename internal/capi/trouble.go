package capi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// Trouble is one thing that keeps the cloud from making what was asked for, as its provider and the cloud itself say.
type Trouble struct {
	Machine string // name of the machine's object of the infrastructure provider; "" is the cluster's own
	Text    string
}

// networkWithin is how long network and load balancer may take. CAPO 0.13 makes no event of some of Neutron's refusals
// (a rule that is there already, for example), and goes on trying.
const networkWithin = 3 * time.Minute

// LoadBalancerName is what the OpenStack provider calls the load balancer of a cluster's API
// (cluster-api-provider-openstack 0.13).
func LoadBalancerName(stack string) string {
	return "k8s-clusterapi-cluster-" + Namespace + "-" + stack + "-kubeapi"
}

// Unfinished tells that the cloud has not made yet, or not taken away, what was asked for. Only then is it of use to
// ask why.
func (o Observed) Unfinished() bool {
	if o.Cluster == nil {
		return false
	}
	if o.Cluster.DeletionTimestamp != nil || !o.InfrastructureReady() {
		return true
	}
	going := func(m *clusterv1.Machine) bool { return m.DeletionTimestamp != nil }
	return o.Replacing() || slices.ContainsFunc(o.Machines, going)
}

// Replacing tells that a machine is on its way to be a node.
func (o Observed) Replacing() bool {
	return slices.ContainsFunc(o.Machines, func(m *clusterv1.Machine) bool { return m.DeletionTimestamp == nil && !m.Status.NodeRef.IsDefined() })
}

// InfrastructureReady tells that network and load balancer have been made.
func (o Observed) InfrastructureReady() bool {
	if o.Cluster == nil {
		return false
	}
	c := condition(o.Cluster.Status.Conditions, clusterv1.ClusterInfrastructureReadyCondition)
	return c != nil && c.Status == metav1.ConditionTrue
}

// ServerReports are what the cloud says of servers when it is asked, by their IDs.
type ServerReports struct {
	Fault   map[string]string // why Nova gave it up
	Console map[string]string // what it has written to its console
}

// ProviderTroubles are what the provider says, in its own words without its requests, and servers that run and become
// no node.
func (o Observed) ProviderTroubles(p *kube.Provider, cloud ServerReports, now time.Time) []Trouble {
	var out []Trouble
	if p == nil || o.Cluster == nil {
		return nil
	}
	making := !o.InfrastructureReady() && o.Cluster.DeletionTimestamp == nil
	switch said := cmp.Or(p.Failure, p.Warning); {
	case said != "" && (making || o.Cluster.DeletionTimestamp != nil):
		out = append(out, Trouble{Text: "network and load balancer: " + ProviderMessage(said)})
	case p.Missing != "" && making && now.Sub(o.Cluster.CreationTimestamp.Time) >= networkWithin:
		out = append(out, Trouble{Text: fmt.Sprintf("network and load balancer: since %s the OpenStack provider of Cluster API has not made %s; it says no more than "+
			"in its own log, which an operator of the cloud can read", o.Cluster.CreationTimestamp.UTC().Format("15:04 MST"), p.Missing)})
	}
	for _, s := range p.Servers {
		text := ""
		switch {
		case s.Failed && s.ID != "":
			text = "Nova could not start its server " + s.ID
			if said := cloud.Fault[s.ID]; said != "" {
				text += ": " + said
			}
		case s.Message != "":
			text = "its server cannot be made: " + ProviderMessage(s.Message)
		case s.Warning != "" && !s.Ready:
			text = ProviderMessage(s.Warning)
		}
		if text != "" {
			out = append(out, Trouble{Machine: s.Name, Text: text})
		}
	}
	return append(out, o.nodeless(p, cloud.Console, now)...)
}

func (o Observed) clusterTroubles() []finding {
	var out []finding
	for _, t := range o.Troubles {
		if t.Machine == "" {
			out = append(out, finding{rank: rankTrouble, text: clean(t.Text)})
		}
	}
	return out
}

func (o Observed) machineTroubles(m *clusterv1.Machine) []finding {
	for _, t := range o.Troubles {
		if t.Machine != "" && t.Machine == m.Spec.InfrastructureRef.Name {
			group := groupOf(m)
			return []finding{{
				rank: rankMachineTrouble, group: group, machine: m.Name, text: "node group " + group + ": machine " + m.Name + ": " + clean(t.Text),
			}}
		}
	}
	return nil
}

// gophercloud's sentence about an answer that was not expected: it has the request's URL, which is no tenant's
// business, and the whole body.
var unexpected = regexp.MustCompile(`Expected HTTP response code \[[0-9 ]*\] when accessing \[[A-Z]+ [^\]]*\], but got ([0-9]+) instead(?::\s*(.*))?$`) //nolint:gochecknoglobals // compiled once

// ProviderMessage is an error of the provider for people: the cloud's own sentence in place of request and body.
func ProviderMessage(text string) string {
	text = clean(text)
	at := unexpected.FindStringSubmatchIndex(text)
	if at == nil {
		return text
	}
	before, status, body := text[:at[0]], text[at[2]:at[3]], ""
	if at[4] >= 0 {
		body = text[at[4]:at[5]]
	}
	if said := sentenceOf([]byte(body)); said != "" {
		return before + said + " (HTTP " + status + ")"
	}
	return before + "HTTP " + status
}

// sentenceOf finds the sentence for people in an error body: each service wraps it in its own way, {"forbidden":
// {"message"}}, {"NeutronError": {"message"}}, {"faultstring"}.
func sentenceOf(body []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return ""
	}
	for _, key := range []string{"faultstring", "message"} {
		var text string
		if json.Unmarshal(fields[key], &text) == nil && text != "" {
			return strings.TrimSpace(text)
		}
	}
	for _, raw := range fields {
		var inner struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(raw, &inner) == nil && inner.Message != "" {
			return strings.TrimSpace(inner.Message)
		}
	}
	return ""
}
