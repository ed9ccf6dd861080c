// Package controller lists every controller of Jeroboam, in one function. Each has a package of its own below this one;
// they share only words and what lies on lower floors, and speak to each other through the records.
package controller

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/controller/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/controller/certificate"
	"github.com/jeroboam-cloud/jeroboam/internal/controller/cluster"
	"github.com/jeroboam-cloud/jeroboam/internal/controller/health"
	"github.com/jeroboam-cloud/jeroboam/internal/controller/nodegroup"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// Options are what the controllers need of the world beyond the management cluster.
type Options struct {
	Class       capi.Class // the cluster class of new clusters
	Keystone    cluster.Keystone
	CloudFor    func(ctx context.Context, cloudsYAML []byte) (cluster.Cloud, error)
	Log         *slog.Logger
	Now         func() time.Time
	Concurrency int // rounds at once, for each controller
	// Defaults of magnum.conf's [cinder] section; a size of 0 boots from the flavor's own disk.
	BootVolumeSize int
	BootVolumeType string
	// ManagementCIDRs are where the management cluster comes from.
	ManagementCIDRs []string
	// Notify is told what becomes of clusters; nil: nobody listens.
	Notify cluster.Notifier
	Addons Addons
}

// Addons are what is installed into workload clusters, and how. Without a catalogue nothing is.
type Addons struct {
	Catalogue *catalogue.Catalogue
	CloudFor  func(ctx context.Context, cloudsYAML []byte) (addon.Cloud, error)
	Dial      workload.Dial // nil: as usual
	CA        []byte        // [drivers] openstack_ca_file
	Insecure  bool          // [drivers] verify_ca is false
	Policy    string        // [kubernetes] keystone_auth_default_policy; empty: the addon's own
	Scalers   string        // [auto_scaling] image_repository; empty: upstream's
}

// Setup registers all controllers with mgr, whose cache has the indexes of package kube.
func Setup(mgr ctrl.Manager, o Options) error {
	c, live, events := mgr.GetClient(), mgr.GetAPIReader(), kube.EachText(mgr.GetEventRecorder("jeroboam"))
	groupCloud := func(ctx context.Context, cloudsYAML []byte) (nodegroup.Cloud, error) {
		return o.CloudFor(ctx, cloudsYAML)
	}
	reconcilers := []interface{ Setup(mgr ctrl.Manager) error }{
		&certificate.Reconciler{Client: c, Reader: live, Now: o.Now, Rand: rand.Reader},
		&cluster.Reconciler{
			Client: c, Reader: live, Class: o.Class, Keystone: o.Keystone, CloudFor: o.CloudFor,
			Recorder: events, Now: o.Now, Log: o.Log.With("controller", "cluster"), Concurrency: o.Concurrency,
			BootVolumeSize: o.BootVolumeSize, BootVolumeType: o.BootVolumeType, ManagementCIDRs: o.ManagementCIDRs, Addons: o.Addons.Catalogue != nil,
			Rand: rand.Reader, Dial: o.Addons.Dial, Notify: o.Notify,
		},
		&nodegroup.Reconciler{
			Client: c, Reader: live, CloudFor: groupCloud,
			Recorder: events, Now: o.Now, Log: o.Log.With("controller", "nodegroup"), Concurrency: o.Concurrency,
			Dial: o.Addons.Dial, BootVolumeSize: o.BootVolumeSize, BootVolumeType: o.BootVolumeType,
		},
		&health.Reconciler{Client: c, Recorder: events, Log: o.Log.With("controller", "health"), Concurrency: o.Concurrency},
	}
	if a := o.Addons; a.Catalogue != nil {
		reconcilers = append(reconcilers, &addon.Reconciler{
			Client: c, Reader: live, Catalogue: a.Catalogue, CloudFor: a.CloudFor, Dial: a.Dial, NodeCA: a.CA, Insecure: a.Insecure, KeystonePolicy: a.Policy,
			AutoscalerRepository: a.Scalers,
			// Workload clusters may be slow, or silent until a request's time is over: one of them must not keep others waiting.
			Recorder: events, Now: o.Now, Log: o.Log.With("controller", "addon"), Concurrency: 4 * o.Concurrency,
		})
	}
	for _, r := range reconcilers {
		if err := r.Setup(mgr); err != nil {
			return fmt.Errorf("set up %T: %w", r, err)
		}
	}
	return nil
}
