package intent

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// version is X.Y or X.Y.Z, with or without a v before it. patch is -1 where there is none.
type version struct{ major, minor, patch int }

var versionPattern = regexp.MustCompile(`^v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?:[-+].*)?$`)

func parseVersion(text string) (version, error) {
	m := versionPattern.FindStringSubmatch(text)
	if m == nil {
		return version{}, fmt.Errorf("%q is no version such as 1.28.13", text)
	}
	v := version{patch: -1}
	v.major, _ = strconv.Atoi(m[1]) // the expression lets digits through only
	v.minor, _ = strconv.Atoi(m[2])
	if m[3] != "" {
		v.patch, _ = strconv.Atoi(m[3])
	}
	return v, nil
}

func (v version) before(major, minor int) bool {
	return v.major < major || v.major == major && v.minor < minor
}

func (v version) compare(o version) int {
	return cmp.Or(cmp.Compare(v.major, o.major), cmp.Compare(v.minor, o.minor), cmp.Compare(v.patch, o.patch))
}

func (v version) String() string {
	if v.patch < 0 {
		return fmt.Sprintf("%d.%d", v.major, v.minor)
	}
	return fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.patch)
}

// bare takes the v from a version.
func bare(text string) string {
	if _, err := parseVersion(text); err == nil {
		return strings.TrimPrefix(text, "v")
	}
	return text
}
