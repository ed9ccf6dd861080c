package host

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Module is a kernel module that must be there, loaded or built in.
type Module struct {
	Name string `json:"name"`
	// Shows is a path that exists when the kernel has it, for kernels that have it built in without saying so.
	Shows string `json:"shows,omitempty"`
}

func (k *Module) thing(plan.Facts) plan.Thing {
	return plan.Thing{Kind: "module", Name: k.Name, Want: plan.Facts{"loaded": "yes"}}
}

func (k *Module) observe(_ context.Context, m *Machine) (plan.Facts, error) {
	if k.loaded(m) {
		return plan.Facts{"loaded": "yes"}, nil
	}
	return nil, nil
}

func (k *Module) loaded(m *Machine) bool {
	return m.exists("/sys/module/"+k.Name) || k.Shows != "" && m.exists(k.Shows)
}

func (k *Module) ensure(ctx context.Context, m *Machine) error {
	_, err := m.run(ctx, "modprobe", k.Name)
	return err
}

// Sysctl is a kernel setting as it is now; the file in /etc/sysctl.d that keeps it is a File.
type Sysctl struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	// AtLeast: a higher number is as good.
	AtLeast bool `json:"atLeast,omitempty"`
}

func (s *Sysctl) file() string { return "/proc/sys/" + strings.ReplaceAll(s.Key, ".", "/") }

func (s *Sysctl) thing(have plan.Facts) plan.Thing {
	want := s.Value
	if is, err := strconv.ParseInt(have["value"], 10, 64); s.AtLeast && err == nil {
		if should, err := strconv.ParseInt(s.Value, 10, 64); err == nil && is >= should {
			want = have["value"]
		}
	}
	return plan.Thing{Kind: "sysctl", Name: s.Key, Want: plan.Facts{"value": want}, Creates: plan.Update}
}

func (s *Sysctl) observe(_ context.Context, m *Machine) (plan.Facts, error) {
	if !m.exists(s.file()) {
		return nil, nil
	}
	return plan.Facts{"value": strings.Join(strings.Fields(m.read(s.file())), " ")}, nil
}

func (s *Sysctl) ensure(_ context.Context, m *Machine) error {
	f, err := os.OpenFile(m.path(s.file()), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("%w: set %s=%s where the kernel's own settings are kept, then run again", err, s.Key, s.Value)
	}
	_, err = f.WriteString(s.Value)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
