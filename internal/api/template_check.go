package api

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// checkTemplate holds a template to what clusters can be made from, in Magnum's order (A7).
func (s *server) checkTemplate(t *magnum.ClusterTemplate) error {
	var problems []error
	if t.COE != "kubernetes" {
		coe := magnum.Shorten(textOr(t.COE, "Unset"), 100) // Magnum's own odd word
		problems = append(problems, magnum.Invalid("Requested COE type %s is not supported.", coe))
	}
	if !slices.Contains(s.Config.AllowedNetworkDrivers, t.NetworkDriver) {
		problems = append(problems, magnum.Invalid("Network driver type %s is not supported, expecting a %s network driver.",
			magnum.Shorten(t.NetworkDriver, 100), strings.Join(s.Config.AllowedNetworkDrivers, " or ")))
	}
	if t.VolumeDriver != "" && t.VolumeDriver != "cinder" {
		problems = append(problems, magnum.Invalid("Volume driver type %s is not supported, expecting a cinder volume driver.",
			magnum.Shorten(t.VolumeDriver, 100)))
	}
	return allAtOnce(append(problems, checkVolumeSize(t.DockerVolumeSize, t.DockerStorageDriver), checkMachines(t), checkAge(t.Labels))...)
}

// What may stand in the files that proxies are written to on machines; the cluster class has the same pattern.
var (
	proxyAddress = regexp.MustCompile(`^[A-Za-z0-9:/._@%~\[\]-]+$`)
	proxyHosts   = regexp.MustCompile(`^[A-Za-z0-9:/._@%~,*\[\]-]+$`)
)

// checkMachines refuses what no machine can be made with. It is asked of new templates, and of old ones before a
// cluster is made. The texts leave the values out: an address may hold a password, and refusals are logged.
func checkMachines(t *magnum.ClusterTemplate) error {
	var problems []string
	if t.TLSDisabled {
		problems = append(problems, "A cluster without TLS (tls_disabled True) is not supported. A Kubernetes API server always speaks TLS.")
	}
	http, https, except := t.Proxies()
	for _, f := range []struct{ name, text string }{{"http_proxy", http}, {"https_proxy", https}} {
		if f.text == "" {
			continue
		}
		u, err := url.Parse(f.text)
		if err != nil || !proxyAddress.MatchString(f.text) || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			problems = append(problems, "The value of "+f.name+" is not the URL of a proxy, for example http://proxy.example.org:3128. "+
				"Write special characters of a password as %XX.")
		}
	}
	if except != "" && !proxyHosts.MatchString(except) {
		problems = append(problems, "The value of no_proxy is not a list of hosts and networks, separated by commas.")
	}
	if len(problems) > 0 {
		return magnum.Invalid("%s", sentences(problems))
	}
	return nil
}
