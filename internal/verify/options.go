package verify

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/registry"
)

// TestImage is what pods of checks run: the image of Kubernetes' own end-to-end tests.
const TestImage = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"

// Options are what is asked for. Names of things in the cloud may be ids as well.
type Options struct {
	RunID string // eight hexadecimal digits

	Cluster         string // that is there already: it is looked at and neither made nor resized nor deleted
	ClusterTemplate string // or a template that is there already
	Image           string // a file to upload
	ImageName       string // or an image that is there already
	Flavor          string // of all nodes; made if it is not given and the user may
	ExternalNetwork string // the only one that there is, if it is not given
	Public          PublicNetwork
	Keypair         string
	NetworkDriver   string
	DNS             string
	MasterLB        bool
	Labels          map[string]string
	Masters, Nodes  int
	// Proxies are addresses (HOST:PORT) of "jeroboam proxy", through which a private cluster's API server is reached.
	Proxies []string

	TestImage        string // what pods of checks run
	StorageClass     string // the default class, if it is not given
	Only, Without    []string
	Conformance      string // None, Quick, Certified
	ConformanceImage string
	ConformanceSkip  string // regular expression of tests that are left out
	// ConformanceProcesses run tests side by side, without those that bear no others beside them; 0 and 1 run all, one
	// after the other.
	ConformanceProcesses int
	ConformanceLimit     time.Duration // when the tests are ended; 0: when all have run

	Keep    bool          // what was made stays
	Results string        // a directory for files
	Timeout time.Duration // of one operation of Magnum
	Poll    time.Duration // between two looks

	Tell func(Event)
	Now  func() time.Time
}

// PublicNetwork is the external network that is made in a cloud that has none, as the functional test of
// OpenStack-Ansible's mcapi_vexxhost does.
type PublicNetwork struct {
	Physical string // Neutron's name of the physical network
	CIDR     string // of its subnet
	Gateway  string // the subnet's first address, if it is not given
	Pool     string // of floating addresses: FIRST-LAST
}

// How much of Kubernetes' conformance tests is run.
const (
	None      = "none"
	Quick     = "quick"     // the one test of sonobuoy's quick mode
	Certified = "certified" // all that the CNCF asks for
)

// Event is what a run tells while it goes on.
type Event struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"` // began, progress, result, verdict
	Step    string    `json:"step,omitempty"`
	Text    string    `json:"text,omitempty"`
	Result  *Result   `json:"result,omitempty"`
	Verdict *Verdict  `json:"verdict,omitempty"`
}

// podImage is the name by which nodes know the test image.
func (o Options) podImage(labels map[string]string) (string, error) {
	if o.TestImage != "" {
		return o.TestImage, nil
	}
	return mirrored(TestImage, labels)
}

// mirrored is an image's name in the registry that a cluster pulls from.
func mirrored(image string, labels map[string]string) (string, error) {
	prefix := strings.TrimSuffix(labels["container_infra_prefix"], "/")
	if prefix == "" {
		return image, nil
	}
	name, err := registry.MagnumName(image)
	if err != nil {
		return "", fmt.Errorf("%w: name the image with a flag of its own", err)
	}
	return prefix + "/" + name, nil
}

// problems are what is wrong with the options by themselves.
func (o Options) problems() []error {
	var out []error
	if o.Image != "" && o.ImageName != "" {
		out = append(out, errors.New("--image and --image-name exclude each other: one uploads an image, the other names one that is there"))
	}
	if o.Masters < 1 || o.Masters%2 == 0 {
		out = append(out, fmt.Errorf("--masters %d: a control plane has an odd number of nodes", o.Masters))
	}
	if o.Nodes < 1 {
		out = append(out, fmt.Errorf("--nodes %d: pods need at least one worker", o.Nodes))
	}
	if o.Masters > 1 && !o.MasterLB && o.Cluster == "" && o.ClusterTemplate == "" {
		out = append(out, errors.New("--masters of more than one need --master-lb"))
	}
	for _, p := range o.Proxies {
		if host, port, err := net.SplitHostPort(p); err != nil || host == "" || port == "" {
			out = append(out, fmt.Errorf("--proxy %q: give it as HOST:PORT, as PROXY_PORT and POD_IP say on its host", p))
		}
	}
	if o.ConformanceProcesses < 0 || o.ConformanceProcesses > 64 {
		out = append(out, fmt.Errorf("--conformance-processes %d: 1 to 64 can run side by side", o.ConformanceProcesses))
	}
	if _, err := regexp.Compile(o.ConformanceSkip); err != nil {
		out = append(out, fmt.Errorf("--conformance-skip: %w", err))
	}
	if o.ConformanceLimit < 0 || o.ConformanceLimit > 0 && o.ConformanceLimit < time.Minute {
		out = append(out, fmt.Errorf("--conformance-limit %s: tests need a minute at least", o.ConformanceLimit))
	}
	for _, names := range [][]string{o.Only, o.Without} {
		for _, n := range names {
			if !slices.Contains(CheckNames(), n) {
				out = append(out, fmt.Errorf("there is no check %q; there are %s", n, strings.Join(CheckNames(), ", ")))
			}
		}
	}
	return append(out, o.Public.problems()...)
}

func (p PublicNetwork) problems() []error {
	if p == (PublicNetwork{}) {
		return nil
	}
	if p.Physical == "" || p.CIDR == "" {
		return []error{errors.New("to make a public network, --public-physical-network and --public-cidr are both needed")}
	}
	var out []error
	cidr, err := netip.ParsePrefix(p.CIDR)
	if err != nil {
		return []error{fmt.Errorf("--public-cidr: %w", err)}
	}
	first, last, pool := strings.Cut(p.Pool, "-")
	if p.Pool != "" && !pool {
		out = append(out, fmt.Errorf("--public-pool %q: give it as FIRST-LAST", p.Pool))
	}
	for flag, text := range map[string]string{"--public-gateway": p.Gateway, "--public-pool": first, "the end of --public-pool": last} {
		if text == "" {
			continue
		}
		if a, err := netip.ParseAddr(strings.TrimSpace(text)); err != nil {
			out = append(out, fmt.Errorf("%s: %w", flag, err))
		} else if !cidr.Contains(a) {
			out = append(out, fmt.Errorf("%s: %s is not in %s", flag, a, cidr))
		}
	}
	return out
}
