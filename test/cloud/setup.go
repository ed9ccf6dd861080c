package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// work is commands in the container: streams run side by side, the lines of one stream one after the other.
type work struct {
	name    string
	streams [][]string
}

// setup makes the databases.
func setup() []work {
	databases := "for d in keystone glance placement nova nova_api nova_cell0 neutron cinder octavia; do u=${d%%_*};" +
		` echo "CREATE DATABASE $d; GRANT ALL ON $d.* TO '$u'@'localhost' IDENTIFIED BY 'lab'; GRANT ALL ON $d.* TO '$u'@'127.0.0.1' IDENTIFIED BY 'lab';"; done | mysql`
	return []work{
		{"databases and the queue's user", [][]string{
			{databases},
			{"rabbitmqctl --quiet add_user openstack lab", "rabbitmqctl --quiet set_permissions openstack '.*' '.*' '.*'"},
		}},
		{"tables of all services", [][]string{
			{
				"keystone-manage db_sync",
				"keystone-manage fernet_setup --keystone-user keystone --keystone-group keystone",
				"keystone-manage credential_setup --keystone-user keystone --keystone-group keystone",
				"keystone-manage bootstrap --bootstrap-password lab --bootstrap-region-id " + region + " --bootstrap-admin-url " + keystoneURL +
					" --bootstrap-internal-url " + keystoneURL + " --bootstrap-public-url " + keystoneURL,
				"glance-manage db_sync", "placement-manage db sync", "cinder-manage db sync", "octavia-db-manage upgrade head",
			},
			{
				"nova-manage api_db sync",
				"nova-manage cell_v2 map_cell0 --database_connection 'mysql+pymysql://nova:lab@127.0.0.1/nova_cell0?charset=utf8'",
				"nova-manage cell_v2 create_cell --name=cell1", "nova-manage db sync",
				"neutron-db-manage --config-file /etc/neutron/neutron.conf --config-file /etc/neutron/plugins/ml2/ml2_conf.ini upgrade head",
			},
		}},
		// The commands above ran as root.
		{"owners of logs", [][]string{{"for s in keystone glance placement nova neutron cinder octavia; do chown -R $s: /var/log/$s; done"}}},
	}
}

const keystoneURL = "http://" + address + ":5000/v3"

func (c *Cloud) setupSteps() []machine.Step {
	steps := []machine.Step{
		{Name: "this program in the container", Do: func(context.Context) error {
			return copyFile(c.program(), c.visible("usr/local/sbin/cloud"), 0o755)
		}},
		{Name: "container started without OpenStack", Do: func(ctx context.Context) error { return c.start(ctx, "cloud-setup.target") }},
		{Name: "database and queue run", Do: func(ctx context.Context) error {
			return machine.WaitFor(ctx, 5*time.Minute, func() error { return c.shell(ctx, "systemctl start mariadb rabbitmq-server memcached") })
		}},
	}
	for _, w := range setup() {
		steps = append(steps, machine.Step{Name: w.name, Do: func(ctx context.Context) error { return c.do(ctx, w) }})
	}
	return append(steps,
		machine.Step{Name: "Keystone answers", Do: func(ctx context.Context) error {
			if err := c.shell(ctx, "systemctl start keystone"); err != nil {
				return err
			}
			return c.self(ctx, "wait-keystone")
		}},
		machine.Step{Name: "projects, users, roles and the catalog", Do: func(ctx context.Context) error { return c.self(ctx, "identity") }},
		machine.Step{Name: "everything started", Do: func(ctx context.Context) error { return c.shell(ctx, "systemctl start multi-user.target") }},
		machine.Step{Name: "services answer", Do: c.waitReady},
		machine.Step{Name: "flavors and the public network", Do: func(ctx context.Context) error { return c.self(ctx, "resources") }},
		machine.Step{Name: "container stopped", Do: c.stop},
	)
}

func (c *Cloud) do(ctx context.Context, w work) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, lines := range w.streams {
		group.Go(func() error {
			for _, line := range lines {
				if err := c.shell(ctx, line); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// self runs this program in the cloud's network.
func (c *Cloud) self(ctx context.Context, command string, args ...string) error {
	cmd, err := c.holder().Enter(ctx, append([]string{c.program(), command, "--limit", c.Limit.String(), "--dir", c.Dir, "--"}, args...)...)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = c.Out, c.Err
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}
