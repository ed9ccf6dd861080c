package host

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Packages are Debian packages that must be installed, in whatever version the machine has them. Those it lacks are
// installed from the store; nothing is fetched, upgraded or removed.
type Packages struct {
	Packages []Package `json:"packages"`
}

// Package is one of them, with the digest of a file to install it from.
type Package struct {
	Name string `json:"name"`
	Blob string `json:"blob"`
}

func (p *Packages) thing(plan.Facts) plan.Thing {
	t := plan.Thing{Kind: "packages", Name: "dpkg", Want: plan.Facts{}}
	for _, one := range p.Packages {
		t.Want[one.Name] = "installed"
	}
	return t
}

func (p *Packages) blobs() []string {
	var out []string
	for _, one := range p.Packages {
		out = append(out, one.Blob)
	}
	return out
}

func (p *Packages) observe(ctx context.Context, m *Machine) (plan.Facts, error) {
	if !m.exists("/usr/bin/dpkg-query") {
		return nil, errors.New("there is no dpkg: containers of other systems than Debian and Ubuntu need these packages before: " + p.names())
	}
	// It fails when it does not know one of the names, and prints the others all the same.
	out, _ := m.Exec(ctx, Command{Args: []string{"dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n"}})
	have := plan.Facts{}
	for line := range strings.Lines(out.Out) {
		if name, state, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			have[name] = state
		}
	}
	return have, nil
}

func (p *Packages) names() string {
	var names []string
	for _, one := range p.Packages {
		names = append(names, one.Name)
	}
	return strings.Join(names, " ")
}

func (p *Packages) ensure(ctx context.Context, m *Machine) error {
	have, err := p.observe(ctx, m)
	if err != nil {
		return err
	}
	args := []string{"dpkg", "--install"}
	for _, one := range p.Packages {
		if have[one.Name] == "installed" {
			continue
		}
		path, err := openCheck(m, one.Blob)
		if err != nil {
			return err
		}
		args = append(args, path)
	}
	_, err = m.Exec(ctx, Command{Args: args, Timeout: 10 * time.Minute, Env: map[string]string{"DEBIAN_FRONTEND": "noninteractive", "PATH": os.Getenv("PATH") + ":/usr/sbin:/sbin"}})
	return err
}
