package capi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// Class is one ClusterClass with all that it refers to.
type Class struct {
	// Name is the ClusterClass's; the templates' begin with it.
	Name string
	// Objects are to be created in this order: templates, then the class. They are never updated.
	Objects []*unstructured.Unstructured
}

const (
	controlPlaneSuffix = "-control-plane"
	workerSuffix       = "-" + WorkerClass
	unhealthySeconds   = 300
	detachSeconds      = 300
)

// ClusterClass writes the class of an infrastructure. Its name is "jeroboam-", the infrastructure and the first ten
// digits of the hash of its content: equal content, equal name; any change is another class.
func ClusterClass(infra Infrastructure) Class {
	content, err := json.Marshal(classObjects(infra, ""))
	if err != nil {
		panic("capi: class does not marshal: " + err.Error())
	}
	sum := sha256.Sum256(content)
	name := fmt.Sprintf("jeroboam-%s-%s", infra.name, hex.EncodeToString(sum[:])[:10])
	return Class{Name: name, Objects: classObjects(infra, name)}
}

func classObjects(infra Infrastructure, name string) []*unstructured.Unstructured {
	return []*unstructured.Unstructured{
		infra.object(infra.cluster, name, infra.clusterSpec),
		infra.object(infra.machine, name+controlPlaneSuffix, infra.machineSpec),
		infra.object(infra.machine, name+workerSuffix, infra.machineSpec),
		toUnstructured(controlPlaneTemplate(name)),
		toUnstructured(workerTemplate(name)),
		toUnstructured(clusterClass(infra, name)),
	}
}

func clusterClass(infra Infrastructure, name string) *clusterv1.ClusterClass {
	ref := func(apiVersion, kind, name string) clusterv1.ClusterClassTemplateReference {
		return clusterv1.ClusterClassTemplateReference{APIVersion: apiVersion, Kind: kind, Name: name}
	}
	c := &clusterv1.ClusterClass{
		TypeMeta:   metav1.TypeMeta{APIVersion: clusterAPI(), Kind: clusterv1.ClusterClassKind},
		ObjectMeta: classMeta(name),
	}
	c.Spec.Infrastructure.TemplateRef = ref(infra.apiVersion, infra.cluster, name)
	cp := &c.Spec.ControlPlane
	cp.TemplateRef = ref(controlPlaneAPI(), kubeadmControlPlaneTemplate, name)
	cp.MachineInfrastructure.TemplateRef = ref(infra.apiVersion, infra.machine, name+controlPlaneSuffix)
	cp.HealthCheck.Checks.UnhealthyNodeConditions = unhealthy()
	cp.HealthCheck.Remediation.TriggerIf.UnhealthyLessThanOrEqualTo = mostOfThem()
	cp.Deletion.NodeVolumeDetachTimeoutSeconds = new(int32(detachSeconds))

	w := clusterv1.MachineDeploymentClass{Class: WorkerClass}
	w.Bootstrap.TemplateRef = ref(bootstrapAPI(), kubeadmConfigTemplate, name)
	w.Infrastructure.TemplateRef = ref(infra.apiVersion, infra.machine, name+workerSuffix)
	w.HealthCheck.Checks.UnhealthyNodeConditions = unhealthy()
	w.HealthCheck.Remediation.TriggerIf.UnhealthyLessThanOrEqualTo = mostOfThem()
	w.Deletion.NodeVolumeDetachTimeoutSeconds = new(int32(detachSeconds))
	c.Spec.Workers.MachineDeployments = []clusterv1.MachineDeploymentClass{w}

	c.Spec.Variables = variables()
	c.Spec.Patches = slices.Concat(infra.patches, kubeadmPatches())
	return c
}

// unhealthy is when a machine is replaced: its node has not been ready, or not been heard of, for five minutes.
func unhealthy() []clusterv1.UnhealthyNodeCondition {
	seconds := int32(unhealthySeconds)
	return []clusterv1.UnhealthyNodeCondition{
		{Type: "Ready", Status: "False", TimeoutSeconds: &seconds},
		{Type: "Ready", Status: "Unknown", TimeoutSeconds: &seconds},
	}
}

// mostOfThem bounds healing: when more than this share of a group is unhealthy, the cause is elsewhere.
func mostOfThem() *intstr.IntOrString { return new(intstr.FromString("80%")) }

// toUnstructured goes through JSON, so that what the API types leave away stays away.
func toUnstructured(v any) *unstructured.Unstructured {
	b, err := json.Marshal(v)
	if err != nil {
		panic("capi: object does not marshal: " + err.Error())
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(b); err != nil {
		panic("capi: object does not unmarshal: " + err.Error())
	}
	return u
}
