#!/usr/bin/env bash
# Builds bin/kube-apiserver, of the version that the all-in-one links: the proxy's lab needs Services and EndpointSlices, which the
# all-in-one's own API server does not serve.
set -euo pipefail
cd "$(dirname "$0")/../../../allinone"
go build -ldflags "-s -w" -o ../bin/kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
