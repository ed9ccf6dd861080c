package label

import (
	"slices"
	"strconv"
	"strings"
)

// Values reads labels. A label that is absent, or whose value Validate refuses, reads as its default.
type Values struct{ labels map[string]string }

// Of makes Values of labels. It does not copy them.
func Of(labels map[string]string) Values { return Values{labels} }

// Has tells whether a label is given with a value that is valid and not empty.
func (v Values) Has(name string) bool {
	_, ok := v.given(name)
	return ok
}

func (v Values) given(name string) (string, bool) {
	s := v.labels[name]
	l, known := byName[name]
	if s == "" || !known || !l.ok(s) {
		return "", false
	}
	return s, true
}

// String is a label's text: lists without spaces, registry paths without a slash at the end.
func (v Values) String(name string) string {
	l := byName[name]
	s, ok := v.given(name)
	switch {
	case !ok:
		return l.Default
	case l.List:
		return strings.Join(split(s), ",")
	case l.Type == Path:
		return strings.TrimSuffix(s, "/")
	}
	return s
}

// Bool is a label's truth.
func (v Values) Bool(name string) bool {
	b, _ := parseBool(v.String(name))
	return b
}

// Int is a label's number; 0 when there is neither value nor default.
func (v Values) Int(name string) int {
	n, _ := strconv.Atoi(v.String(name))
	return n
}

// CSV is a label's list, each item once; nil when it is empty. Cluster API and its OpenStack provider take many of
// these lists as sets: a network that is named twice would be refused there, after the request was accepted.
func (v Values) CSV(name string) []string {
	var items []string
	for _, s := range split(v.String(name)) {
		if !slices.Contains(items, s) {
			items = append(items, s)
		}
	}
	return items
}

// BootVolume is the size in GiB of the volume that machines boot from, and otherwise that of whoever says nothing; 0:
// they have none.
func (v Values) BootVolume(otherwise int) int {
	if v.Has(BootVolumeSize) {
		return v.Int(BootVolumeSize)
	}
	return otherwise
}

// Bounds are the fewest and the most nodes that labels give a node group; nil is no bound.
func Bounds(labels map[string]string) (fewest int, most *int) {
	v := Of(labels)
	if v.Has(MaxNodeCount) {
		most = new(v.Int(MaxNodeCount))
	}
	return v.Int(MinNodeCount), most
}

// KubeTag is the version of Kubernetes, "" when it is missing.
func (v Values) KubeTag() string { return v.String(KubeTag) }
