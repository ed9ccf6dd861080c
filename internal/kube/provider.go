package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
)

// Provider is what Cluster API's OpenStack provider says of one cluster and does not hand on to Cluster API. Release
// 0.13 hands on next to nothing: an OpenStackCluster has no conditions, and its errors are events; an OpenStackMachine
// waits for its OpenStackServer without a word, and that has a condition whose message is empty when Nova gives a
// server up.
type Provider struct {
	Failure string // why the provider has given the cluster up; it does so seldom
	Warning string // the last event of the cluster's network and load balancer, if it is a warning
	Missing string // what of them it makes now, or tries to; "" when it has made them
	Servers []ProviderServer
}

// ProviderServer is the server of one machine.
type ProviderServer struct {
	Name    string // of the OpenStackServer, which is that of the machine's infrastructure
	ID      string // Nova's; "" when there is none
	Ready   bool
	Failed  bool   // Nova gave it up, or refused to make it
	Message string // of its condition
	Warning string // its last event, if that is a warning
}

// warnedWithin is how old a warning may be: CAPO tries again after a quarter of an hour at most, and warns again.
const warnedWithin = 20 * time.Minute

// maxWarned bounds how many servers' events are read: a cluster whose hundred servers all fail has one reason.
const maxWarned = 5

// ReadProvider reads what the provider of a Cluster says, from the API server; nil when it is another provider, or its
// kinds are unknown.
func ReadProvider(ctx context.Context, r client.Reader, mapper meta.RESTMapper, cluster *clusterv1.Cluster, now time.Time) (*Provider, error) {
	ref := cluster.Spec.InfrastructureRef
	if ref.Kind != "OpenStackCluster" {
		return nil, nil
	}
	out := &Provider{}
	own, err := readKind(ctx, r, mapper, ref.Kind, ref.Name)
	if err != nil {
		return nil, err
	}
	if own != nil {
		out.Failure, _, _ = unstructured.NestedString(own.Object, "status", "failureMessage")
		out.Missing = missingParts(own.Object)
		if out.Warning, err = lastWarning(ctx, r, ref.Kind, ref.Name, now); err != nil {
			return nil, err
		}
	}
	out.Servers, err = readServers(ctx, r, mapper, cluster.Name)
	if err != nil {
		return nil, err
	}
	asked := 0
	for i := range out.Servers {
		s := &out.Servers[i]
		if s.Ready || s.Message != "" || asked == maxWarned {
			continue
		}
		asked++
		if s.Warning, err = lastWarning(ctx, r, "OpenStackServer", s.Name, now); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// missingParts is the first thing that an OpenStackCluster does not have, in the order in which CAPO 0.13 makes them
// (reconcileNetworkComponents).
func missingParts(o map[string]any) string {
	has := func(field string) bool {
		_, there, _ := unstructured.NestedMap(o, "status", field)
		return there
	}
	balanced, _, _ := unstructured.NestedBool(o, "spec", "apiServerLoadBalancer", "enabled")
	ready, _, _ := unstructured.NestedBool(o, "status", "ready")
	switch {
	case ready:
		return ""
	case !has("network"):
		return "the network"
	case !has("controlPlaneSecurityGroup"):
		return "the router and the security groups"
	case balanced && !has("apiServerLoadBalancer"):
		return "the load balancer of the API"
	}
	return "the address of the API"
}

const infrastructureGroup = "infrastructure.cluster.x-k8s.io"

// versioned is a kind of the provider in the version that the API server prefers; none when it is not there.
func versioned(mapper meta.RESTMapper, kind string) (schema.GroupVersionKind, bool, error) {
	m, err := mapper.RESTMapping(schema.GroupKind{Group: infrastructureGroup, Kind: kind})
	if meta.IsNoMatchError(err) {
		return schema.GroupVersionKind{}, false, nil
	}
	if err != nil {
		return schema.GroupVersionKind{}, false, fmt.Errorf("find %s: %w", kind, err)
	}
	return m.GroupVersionKind, true, nil
}

func readKind(ctx context.Context, r client.Reader, mapper meta.RESTMapper, kind, name string) (*unstructured.Unstructured, error) {
	gvk, there, err := versioned(mapper, kind)
	if err != nil || !there {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	err = r.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: name}, u)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", kind, name, err)
	}
	return u, nil
}

func readServers(ctx context.Context, r client.Reader, mapper meta.RESTMapper, stack string) ([]ProviderServer, error) {
	gvk, there, err := versioned(mapper, "OpenStackServer")
	if err != nil || !there {
		return nil, err
	}
	list := &unstructured.UnstructuredList{}
	gvk.Kind += "List"
	list.SetGroupVersionKind(gvk)
	err = r.List(ctx, list, client.InNamespace(v1alpha1.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: stack})
	if err != nil {
		return nil, fmt.Errorf("read the servers of %s: %w", stack, err)
	}
	out := make([]ProviderServer, 0, len(list.Items))
	for i := range list.Items {
		o := list.Items[i].Object
		s := ProviderServer{Name: list.Items[i].GetName()}
		s.ID, _, _ = unstructured.NestedString(o, "status", "instanceID")
		s.Ready, _, _ = unstructured.NestedBool(o, "status", "ready")
		state, _, _ := unstructured.NestedString(o, "status", "instanceState")
		s.Failed = state == "ERROR"
		s.Message = falseMessage(o, "InstanceReady")
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b ProviderServer) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// falseMessage is what a condition says that is not true.
func falseMessage(o map[string]any, kind string) string {
	conditions, _, _ := unstructured.NestedSlice(o, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == kind && c["status"] != "True" {
			text, _ := c["message"].(string)
			return text
		}
	}
	return ""
}

// lastWarning is the text of an object's newest event if that is a warning: what it warned of before something worked
// is over.
func lastWarning(ctx context.Context, r client.Reader, kind, name string, now time.Time) (string, error) {
	list := &corev1.EventList{}
	err := r.List(ctx, list, client.InNamespace(v1alpha1.Namespace), client.MatchingFieldsSelector{
		Selector: fields.Set{"involvedObject.kind": kind, "involvedObject.name": name}.AsSelector(),
	})
	if err != nil {
		return "", fmt.Errorf("read events of %s %s: %w", kind, name, err)
	}
	var newest *corev1.Event
	for i := range list.Items {
		if e := &list.Items[i]; newest == nil || seenAt(e).After(seenAt(newest)) {
			newest = e
		}
	}
	if newest == nil || newest.Type != corev1.EventTypeWarning || now.Sub(seenAt(newest)) > warnedWithin {
		return "", nil
	}
	return newest.Message, nil
}

// seenAt is when an event was last seen, however its writer counts.
func seenAt(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}
