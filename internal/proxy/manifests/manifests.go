// Package manifests carries what a deployment of the proxy needs beside the binary: what the management cluster's
// administrator applies, and the systemd units of a host.
package manifests

import _ "embed"

// Access is what the management cluster must hold: the fleet's namespace, its service account and what it may do.
//
//go:embed access.yaml
var Access string

// Unit is the systemd unit of a host's proxy.
//
//go:embed jeroboam-proxy@.service
var Unit string

// AccessUnit is the systemd unit of "jeroboam proxy access", for a host that may write roles in the management cluster.
//
//go:embed jeroboam-proxy-access.service
var AccessUnit string
