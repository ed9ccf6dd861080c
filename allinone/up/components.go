package up

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/allinone/management"
	"github.com/jeroboam-cloud/jeroboam/allinone/manifests"
	"github.com/jeroboam-cloud/jeroboam/internal/cli"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

const (
	admins       = "system:masters"
	jeroboamUser = "jeroboam" // the subject of the shipped role binding
)

// installRecords makes the management cluster ready for Magnum's records, as its administrator would.
func (a *allinone) installRecords(ctx context.Context, _ func(error)) error {
	cfg, err := a.cluster.Client("installer", admins)
	if err != nil {
		return err
	}
	scheme, err := kube.NewScheme()
	if err != nil {
		return err
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	return cli.InstallRecords(ctx, c)
}

// jeroboam is the server as a component: it starts when it serves.
type jeroboam struct {
	all  *allinone
	stop context.CancelFunc
	done chan struct{}
}

// Start implements lifecycle.Component.
func (j *jeroboam) Start(ctx context.Context, died func(error)) error {
	a := j.all
	conf := a.dir.Path("magnum.conf")
	if err := writeFile(conf, magnumConf(a.Address, a.MagnumPort, a.ground.user)); err != nil {
		return fmt.Errorf("write magnum.conf: %w", err)
	}
	config, err := cli.ReadConfig(a.log, os.Environ(), conf)
	if err != nil {
		return err
	}
	records, err := a.identity()
	if err != nil {
		return err
	}
	records.QPS = -1
	if err := management.AwaitRoles(ctx, records); err != nil {
		return err
	}
	addons, err := a.catalogue()
	if err != nil {
		return err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	ready, ended := make(chan struct{}), make(chan error, 1)
	j.stop, j.done = stop, make(chan struct{})
	go func() {
		defer close(j.done)
		err := cli.Serve(life, cli.ServeOptions{
			Config: config, Management: records, Infrastructure: a.ground.infrastructure, AdminListen: local(a.AdminPort),
			Concurrency: a.Concurrency, Addons: addons, Log: a.log, Ready: func() { close(ready) },
		})
		ended <- err
		if life.Err() == nil {
			died(fmt.Errorf("server: %w", err))
		}
	}()
	select {
	case <-ready:
		return nil
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// catalogue is what is installed into clusters: the directory that was named, else what this program has with it.
func (a *allinone) catalogue() (fs.FS, error) {
	switch {
	case a.AddonCatalogue != "":
		return os.DirFS(a.AddonCatalogue), nil
	case a.Addons:
		return manifests.Addons()
	}
	return nil, nil
}

// Stop implements lifecycle.Component.
func (j *jeroboam) Stop(ctx context.Context) error {
	if j.stop == nil {
		return nil
	}
	j.stop()
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
