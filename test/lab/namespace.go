package main

import (
	"context"
	"os"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// scratch is where the machine's cgroups are kept while the lab's namespaces get a sysfs of their own.
const scratch = "/run/jeroboam-lab-cgroup"

func (l *Lab) holder() machine.Holder {
	return machine.Holder{File: l.path("holder"), Gone: "the lab in " + l.Dir + " is not running: lab up"}
}

func (l *Lab) sysctls() machine.Sysctls { return machine.Sysctls{File: l.path("sysctls.json")} }

func (l *Lab) makeNamespaces(ctx context.Context) error {
	if err := os.WriteFile(l.path("hosts.txt"), []byte(l.hostsFile()), 0o644); err != nil {
		return err
	}
	if err := l.holder().Start(ctx, scratch); err != nil {
		return err
	}
	return l.holder().Run(ctx, "sh", "-ec", `
		mount --bind `+l.path("hosts.txt")+` /etc/hosts
		ip link add br-lab type bridge
		ip addr add `+gateway+prefix+` dev br-lab
		ip link set br-lab up`)
}
