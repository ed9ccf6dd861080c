// Command otherlock writes a lock for another Kubernetes version, so that upgrades can be tested: everything else stays
// as it is in bundle.lock.yaml, and comes from the cache. The digests in it are still the old ones; "bundle build
// --record" replaces them.
//
//	go run ./test/e2e/deploy/otherlock -version 1.36.3 > 1.36.3.yaml
//	jeroboam bundle build --from-source --record --without cilium --lock 1.36.3.yaml --output bundle-1.36.3
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
)

func main() {
	version := flag.String("version", "", "the Kubernetes version, one whose module k8s.io/kubernetes the proxy has")
	pause := flag.String("pause", "", "the version of the pause image that its kubeadm wants, if it is another one")
	etcd := flag.String("etcd", "", "the tag of etcd's image that its kubeadm wants, if it is another one")
	lock := flag.String("lock", "bundle.lock.yaml", "the lock to begin with")
	flag.Parse()
	text, err := os.ReadFile(*lock)
	out := ""
	if err == nil {
		out, err = other(string(text), *version, *pause, *etcd)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "otherlock:", err) // nobody to tell when standard error is gone
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString(out) // likewise
}

var (
	kubernetes = regexp.MustCompile(`(?m)^    path: k8s\.io/kubernetes\n    version: v1\.(\d+)\.(\d+)$`)
	number     = regexp.MustCompile(`^1\.(\d+)\.(\d+)$`)
	pauseImage = regexp.MustCompile(`(?m)^    reference: registry\.k8s\.io/pause:(\S+)$`)
	etcdAlias  = regexp.MustCompile(`(aliases: \[registry\.k8s\.io/etcd:)[^\],]+`)
	pinSets    = regexp.MustCompile(`(?m)^  (shared|staging):\n((?:    \S.*\n)+)`)
)

func other(text, version, pause, etcd string) (string, error) {
	have, want := kubernetes.FindStringSubmatch(text), number.FindStringSubmatch(version)
	if have == nil || want == nil {
		return "", errors.New("-version is like 1.36.3, and the lock has the module k8s.io/kubernetes")
	}
	// What other modules require of it stays: they are what they were.
	const required = "k8s.io/kubernetes: v"
	text = strings.ReplaceAll(text, required+"1."+have[1]+"."+have[2], required)
	text = strings.ReplaceAll(text, "1."+have[1]+"."+have[2], version)
	text = strings.ReplaceAll(text, required+"\n", required+"1."+have[1]+"."+have[2]+"\n")
	if have[1] != want[1] {
		text = strings.ReplaceAll(text, fmt.Sprintf("gitMinor: %q", have[1]), fmt.Sprintf("gitMinor: %q", want[1]))
		text = ownPins(text, "v0."+have[1]+"."+have[2], "v0."+want[1]+"."+want[2])
	}
	if old := pauseImage.FindStringSubmatch(text); pause != "" && old != nil {
		text = strings.ReplaceAll(text, "pause:"+old[1], "pause:"+pause)
		text = strings.ReplaceAll(text, "version: "+old[1], "version: "+pause)
	}
	if etcd != "" {
		text = etcdAlias.ReplaceAllString(text, "${1}"+etcd)
	}
	return text, nil
}

// ownPins gives the module of another minor version pins of its own: Kubernetes' published parts in its version. Of a
// patch they are near enough that one set serves both, and is compiled already; a minor version is in the libraries
// (its feature gates, its emulated version). Left out is what that version does not have, or what would raise the
// others again.
func ownPins(text, have, want string) string {
	pins := "  kubernetes:\n"
	for _, set := range pinSets.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(set[2]) {
			switch {
			case strings.Contains(line, "k8s.io/sample-cli-plugin:"), strings.Contains(line, "k8s.io/streaming:"), strings.Contains(line, "k8s.io/cri-streaming:"), strings.Contains(line, "sigs.k8s.io/cluster-api/api:"):
			default:
				pins += strings.Replace(line, have, want, 1)
			}
		}
	}
	at := pinSets.FindAllStringIndex(text, -1)
	last := at[len(at)-1]
	text = text[:last[1]] + pins + text[last[1]:]
	return strings.Replace(text, "pins: [shared, staging]", "pins: [kubernetes]", 1)
}
