#!/usr/bin/env bash
# Builds bin/jeroboam-allinone and says how far it is: the first build compiles Kubernetes, etcd and Cluster API.
set -euo pipefail
cd "$(dirname "$0")/../allinone"
out=../bin/jeroboam-allinone
go generate ./manifests
total=$(go list -deps . | wc -l)
start=$(date +%s)
# -v names each package as it is compiled; what is cached is not named.
go build -v -ldflags "-s -w" -o "$out" . 2>&1 | awk -v total="$total" -v start="$start" -v tty="$([ -t 2 ] && echo 1)" '
	/^(#|go: |[^ ]+\.go:[0-9]+:|\t)/ && !/downloading/ { print > "/dev/stderr"; next }
	/downloading/ { d++; if (tty) printf "\r  downloading modules: %d ", d > "/dev/stderr"; next }
	{ n++ }
	n == 25 { print "building the all-in-one: the first time this compiles Kubernetes and takes minutes" > "/dev/stderr" }
	tty && n % 10 == 0 { printf "\r  compiled %d of at most %d packages, %d s ", n, total, systime() - start > "/dev/stderr"; fflush() }
	!tty && n % 250 == 0 { printf "  compiled %d of at most %d packages, %d s\n", n, total, systime() - start > "/dev/stderr"; fflush() }
	END { if (n > 50) printf "%s  built in %d s\n", tty ? "\r" : "", systime() - start > "/dev/stderr" }
'
exit "${PIPESTATUS[0]}"
