package control

import (
	"net/netip"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Advertised is where clients reach this host's proxy.
type Advertised struct {
	Address netip.Addr
	Port    uint16
}

func (a Advertised) String() string { return netip.AddrPortFrom(a.Address, a.Port).String() }

// timestamp is the old proxy's form: Python's datetime.isoformat in UTC.
func timestamp(now time.Time) string { return now.UTC().Format("2006-01-02T15:04:05.000000+00:00") }

// slice is this host's EndpointSlice for a cluster. It has no nodeName: a host of the proxy need not be a node.
func slice(stack, host string, a Advertised, now time.Time) *discoveryv1.EndpointSlice {
	kind := discoveryv1.AddressTypeIPv4
	if a.Address.Is6() {
		kind = discoveryv1.AddressTypeIPv6
	}
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: Namespace, Name: stack + "-" + host,
			Labels: map[string]string{
				discoveryv1.LabelServiceName: stack,
				LabelNode:                    host,
				LabelCluster:                 stack,
				LabelService:                 "true",
				LabelManaged:                 ManagedBy,
			},
			Annotations: map[string]string{AnnotationTimestamp: timestamp(now)},
		},
		AddressType: kind,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{a.Address.String()}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
		Ports:       []discoveryv1.EndpointPort{{Name: new("https"), Port: new(int32(a.Port)), Protocol: new(corev1.ProtocolTCP)}},
	}
}

// same says whether a slice is as it should be, whatever its timestamp.
func same(have, want *discoveryv1.EndpointSlice) bool {
	if have.AddressType != want.AddressType || have.Annotations[AnnotationTimestamp] == "" {
		return false
	}
	for k, v := range want.Labels {
		if have.Labels[k] != v {
			return false
		}
	}
	return len(have.Endpoints) == 1 && reflect.DeepEqual(have.Endpoints[0].Addresses, want.Endpoints[0].Addresses) &&
		have.Endpoints[0].Conditions.Ready != nil && *have.Endpoints[0].Conditions.Ready && reflect.DeepEqual(have.Ports, want.Ports)
}

// service is the name of a cluster in the management cluster's DNS. Its labels and ports are the old proxy's, which
// puts back what differs.
func service(stack string, targetPort int32) *corev1.Service {
	policy := corev1.IPFamilyPolicyPreferDualStack // hosts may have addresses of either family
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: stack, Labels: map[string]string{LabelService: "true"}},
		Spec: corev1.ServiceSpec{
			IPFamilyPolicy: &policy,
			Ports:          []corev1.ServicePort{{Name: "https", Port: ServicePort, Protocol: corev1.ProtocolTCP}},
		},
	}
	s.Spec.Ports[0].TargetPort.IntVal = targetPort // means nothing without a selector: slices have the ports
	return s
}

// serves says whether a Service does what it is for.
func serves(s *corev1.Service) bool {
	if s.Labels[LabelService] != "true" || len(s.Spec.Selector) > 0 {
		return false
	}
	for _, p := range s.Spec.Ports {
		if p.Name == "https" && p.Port == ServicePort && p.Protocol == corev1.ProtocolTCP {
			return true
		}
	}
	return false
}
