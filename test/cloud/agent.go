package main

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"golang.org/x/sync/errgroup"

	"github.com/jeroboam-cloud/jeroboam/test/cloud/balancer"
	"github.com/jeroboam-cloud/jeroboam/test/cloud/emulator"
	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// agent runs in the container until it is told to stop.
func agent(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { emulator.Consoles(ctx, log); return nil })
	group.Go(func() error { return balance(ctx, log) })
	return group.Wait()
}

func balance(ctx context.Context, log *slog.Logger) error {
	config := mysql.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr, config.DBName = "octavia", "lab", "tcp", "127.0.0.1:3306", "octavia"
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	var session *gophercloud.ProviderClient
	err = machine.WaitFor(ctx, 24*time.Hour, func() (err error) { session, err = login(ctx, named("octavia")); return err })
	if err != nil {
		return errors.Join(err, db.Close())
	}
	network, err := openstack.NewNetworkV2(session, gophercloud.EndpointOpts{Region: region})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	daemon := balancer.Daemon{DB: db, Network: network, Host: "cloud", Dir: "/run/cloud-balancer", Log: log}
	return errors.Join(daemon.Run(ctx), db.Close())
}
