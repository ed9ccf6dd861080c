package main

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

// writer makes records of clusters that look complete, straight into a management cluster.
type writer struct {
	client  client.Client
	project string
	have    int
}

func newWriter(kubeconfig, project string) (*writer, error) {
	cfg, err := kube.Connect(kubeconfig)
	if err != nil {
		return nil, err
	}
	scheme, err := kube.NewScheme()
	if err != nil {
		return nil, err
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	return &writer{client: c, project: project}, err
}

func (w *writer) uuid(i int) string { return fmt.Sprintf("018f3c1e-0000-7000-8000-%012d", i) }

// grow makes clusters until there are n.
func (w *writer) grow(ctx context.Context, n int) error {
	from := w.have
	w.have = n
	return parallel(ctx, 32, n-from, func(ctx context.Context, i int) error { return w.make(ctx, from+i) })
}

func (w *writer) make(ctx context.Context, i int) error {
	record := store.ClusterRecord(w.cluster(i))
	if err := w.client.Create(ctx, record); err != nil {
		return err
	}
	now := metav1.Now()
	record.Status = v1alpha1.MagnumClusterStatus{
		ObservedGeneration: record.Generation, Status: string(magnum.CreateComplete), OperationStartedAt: &now, UpdatedAt: &now,
		Health: string(magnum.Healthy), HealthReason: map[string]string{"api": "ok", "kube-0.Ready": "True", "kube-1.Ready": "True"},
		APIAddress: "https://203.0.113.10:6443", COEVersion: "v1.34.2",
	}
	if err := w.client.Status().Update(ctx, record); err != nil {
		return err
	}
	for _, g := range store.DefaultNodeGroups(record) {
		g.CreationTimestamp = metav1.Time{}
		if err := w.client.Create(ctx, g); err != nil {
			return err
		}
		g.Status = v1alpha1.MagnumNodeGroupStatus{
			ObservedGeneration: g.Generation, Status: string(magnum.CreateComplete), NodeAddresses: []string{"10.0.0.5"},
		}
		if err := w.client.Status().Update(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// cluster is one of the usual kind.
func (w *writer) cluster(i int) *magnum.Cluster {
	labels := map[string]string{
		"kube_tag": "v1.34.2", "auto_healing_enabled": "true", "auto_scaling_enabled": "false", "calico_ipv4pool": "10.100.0.0/16",
		"boot_volume_size": "50", "octavia_provider": "ovn", "availability_zone": "nova", "container_infra_prefix": "registry.example.org/",
	}
	return &magnum.Cluster{
		UUID: w.uuid(i), Name: fmt.Sprintf("cluster-%d", i), ProjectID: w.project, UserID: "demo", StackID: fmt.Sprintf("kube-%05d", i),
		ClusterTemplateID: w.uuid(0), Keypair: "default", Labels: labels, FlavorID: "m1.small", MasterFlavorID: "m1.small",
		CreateTimeout: 60, MasterCount: 1, NodeCount: 1, MasterLBEnabled: true, FloatingIPEnabled: true,
		Template: magnum.ClusterTemplate{TemplateFields: magnum.TemplateFields{
			Name: "kubernetes", ProjectID: w.project, COE: "kubernetes", ImageID: "ubuntu", ExternalNetworkID: "public", Labels: labels,
			FlavorID: "m1.small", MasterFlavorID: "m1.small", NetworkDriver: "calico", ServerType: "vm", ClusterDistro: "ubuntu",
		}},
		Resolved: magnum.Resolved{
			ImageID: w.uuid(1), ImageOSDistro: "ubuntu", FlavorName: "m1.small", MasterFlavorName: "m1.small", ExternalNetworkID: w.uuid(2),
		},
	}
}
