package kube

import (
	"fmt"
	"hash/fnv"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
)

// EachText returns a recorder that keeps events apart by their text. Kubernetes' own takes two events about one version
// of an object for the same one when type, reason and action are the same: it keeps the first one's text and counts the
// other. What happened to each of several addons or machines in one round would be lost.
func EachText(r events.EventRecorder) events.EventRecorder { return eachText{r} }

type eachText struct{ events.EventRecorder }

func (e eachText) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, note, args...) // never fails (hash.Hash)
	e.EventRecorder.Eventf(regarding, related, kind, reason, fmt.Sprintf("%s-%08x", action, h.Sum32()), note, args...)
}
