package main

import (
	"context"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

const (
	watchesOfHost     = 30 // with a control plane node on it; 26 were counted
	watchesOfBalancer = 10
)

func (l *Lab) checkInotify(context.Context) error { return machine.CheckInotify(inotifyNeed(l.Hosts)) }

// inotifyNeed is how many of the machine's inotify instances the hosts take.
func inotifyNeed(hosts []Host) int {
	need := 0
	for _, h := range hosts {
		if h.Balancer {
			need += watchesOfBalancer
		}
		if !h.Balancer || len(hosts) == 1 {
			need += watchesOfHost
		}
	}
	return need
}
