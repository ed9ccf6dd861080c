package api

import (
	"net/http"
	"strconv"
	"strings"
)

// The microversions spoken: 1.1 to 1.14 (Magnum master, 2026.2).
const (
	minMinor = 1
	maxMinor = 14

	minVersion = "1.1"
	maxVersion = "1.14"

	// serviceType is what answers name, whatever name the request used (Magnum master since 2025-06).
	serviceType = "container-infrastructure-management"
)

const (
	headerVersion    = "Openstack-Api-Version"
	headerMinVersion = "Openstack-Api-Minimum-Version"
	headerMaxVersion = "Openstack-Api-Maximum-Version"
)

// negotiate reads which microversion the client wants. Saying nothing means 1.1.
func (c *call) negotiate() error {
	header := c.r.Header.Get(headerVersion)
	if header == "" {
		return nil
	}
	minor, err := parseVersion(header)
	if err != nil {
		return err
	}
	c.version = minor
	return nil
}

var errBadVersion = &routingError{
	status: http.StatusNotAcceptable,
	detail: "The header OpenStack-API-Version is not of the form \"container-infra 1.N\" or \"container-infra latest\".",
}

// parseVersion reads "<service> 1.N" or "<service> latest". A header that cannot be read is a plain 406; one that can
// be read but asks for a version we do not speak is a versionError.
func parseVersion(header string) (minor int, err error) {
	words := strings.Fields(header)
	if len(words) != 2 {
		return 0, errBadVersion
	}
	switch words[0] {
	case serviceType, "container-infrastructure", "container-infra":
	default:
		return 0, errBadVersion
	}
	if strings.EqualFold(words[1], "latest") {
		return maxMinor, nil
	}
	left, right, _ := strings.Cut(words[1], ".")
	if !digits(left) || !digits(right) {
		return 0, errBadVersion
	}
	minor, err = strconv.Atoi(right)
	if strings.TrimLeft(left, "0") != "1" || err != nil || minor < minMinor || minor > maxMinor {
		return 0, &versionError{asked: left + "." + right}
	}
	return minor, nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 9
}

// announceVersion says which version is spoken and which could be, on every answer under /v1 that has a route.
func (c *call) announceVersion() { c.versionHeaders("1." + strconv.Itoa(c.version)) }

func (c *call) versionHeaders(used string) {
	h := c.w.Header()
	h.Set(headerMinVersion, serviceType+" "+minVersion)
	h.Set(headerMaxVersion, serviceType+" "+maxVersion)
	h.Set(headerVersion, serviceType+" "+used)
	h.Set("Vary", "OpenStack-API-Version")
}

// A versionError is a wish for a microversion that nobody here speaks.
type versionError struct{ asked string }

func (e *versionError) Error() string { return "microversion " + e.asked + " is not supported" }
