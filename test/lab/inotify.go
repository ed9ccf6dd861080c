package main

import (
	"context"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

const (
	watchesOfHost     = 30 // with a control plane node on it; 26 were counted
	watchesOfBalancer = 10
	watchesOfKeystone = 10
	watchesOfMagnum   = 10 // a container of its own, on each host of a lab with a Keystone
)

func (l *Lab) checkInotify(context.Context) error { return machine.CheckInotify(inotifyNeed(l.Hosts)) }

// inotifyNeed is how many of the machine's inotify instances the hosts take.
func inotifyNeed(hosts []Host) int {
	need, nodes, keystone := 0, 0, false
	for _, h := range hosts {
		if h.Balancer {
			need += watchesOfBalancer
		}
		if h.Keystone {
			keystone = true
			need += watchesOfKeystone
		}
		if strings.HasPrefix(h.Name, "infra") {
			nodes++
		}
	}
	need += nodes * watchesOfHost
	if keystone {
		need += nodes * watchesOfMagnum
	}
	return need
}
