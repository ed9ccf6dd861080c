package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Relay is a service without a gap: a template unit (systemd.unit(5)) of which one instance runs, a or b. When what it
// was started with has changed, the other instance is started, and the first one stops when the second is ready, which
// is why the unit has to be of Type=notify. Both must be able to run beside each other for that while.
type Relay struct {
	// Template is the unit's name up to and with the @.
	Template string `json:"template"`
	// Uses are files that an instance reads when it starts.
	Uses []string `json:"uses,omitempty"`
	// Patience is how long a new instance may take until it is ready; two minutes if zero.
	Patience time.Duration `json:"patience,omitempty"`
	// Gone: no instance should run.
	Gone bool `json:"gone,omitempty"`
}

func (r *Relay) units() []string { return []string{r.Template + "a.service", r.Template + "b.service"} }

func (r *Relay) thing(plan.Facts) plan.Thing {
	t := plan.Thing{Kind: "service", Name: r.Template, On: map[string]plan.Action{"current": plan.Restart}}
	if !r.Gone {
		t.Want = plan.Facts{"active": "yes", "current": "yes", "instances": "1"}
	}
	return t
}

// seen is what there is of the instances.
type seen struct {
	// serves is the instance that is ready and began with what there is now, else one that is ready and began with
	// something older; "" if none is. One that is only starting serves nobody, however long it has been: it may end again
	// and again, or wait for ever.
	serves  string
	current bool
	// rest are others that run, start, or would start at boot; enabled says that the one that serves would.
	rest    []string
	enabled bool
}

func (r *Relay) look(ctx context.Context, m *Machine) (seen, error) {
	var s seen
	facts := map[string]plan.Facts{}
	for _, name := range r.units() {
		have, err := (&Unit{Name: name, Active: true, Uses: r.Uses}).observe(ctx, m)
		if err != nil {
			return s, err
		}
		facts[name] = have
		if have["ready"] == "yes" && (s.serves == "" || have["current"] == "yes" && !s.current) {
			s.serves, s.current = name, have["current"] == "yes"
		}
	}
	for _, name := range r.units() {
		if name == s.serves {
			s.enabled = facts[name]["enabled"] == "yes"
		} else if facts[name]["active"] == "yes" || facts[name]["enabled"] == "yes" {
			s.rest = append(s.rest, name)
		}
	}
	return s, nil
}

func (r *Relay) observe(ctx context.Context, m *Machine) (plan.Facts, error) {
	s, err := r.look(ctx, m)
	if err != nil || s.serves == "" && len(s.rest) == 0 {
		return nil, err
	}
	have := plan.Facts{"active": "no", "current": "no", "instances": fmt.Sprint(len(s.rest) + 1)}
	if s.serves == "" {
		have["instances"] = fmt.Sprint(len(s.rest))
	}
	if s.serves != "" && s.enabled {
		have["active"] = "yes"
	}
	if s.current {
		have["current"] = "yes"
	}
	return have, nil
}

func (r *Relay) ensure(ctx context.Context, m *Machine) error {
	s, err := r.look(ctx, m)
	if err != nil {
		return err
	}
	if r.Gone {
		_, err := m.run(ctx, append([]string{"systemctl", "disable", "--now"}, r.units()...)...)
		return err
	}
	if _, err := m.run(ctx, "systemctl", "daemon-reload"); err != nil {
		return err
	}
	next, rest := s.serves, s.rest
	if !s.current {
		if next, rest, err = r.handOver(ctx, m, s); err != nil {
			return err
		}
	}
	if _, err := m.run(ctx, "systemctl", "enable", next); err != nil {
		return err
	}
	for _, name := range rest {
		if _, err := m.run(ctx, "systemctl", "disable", "--now", name); err != nil {
			return err
		}
	}
	return nil
}

// handOver starts the instance that does not serve. One that a killed run has left there, and that is as old, goes
// first.
func (r *Relay) handOver(ctx context.Context, m *Machine, s seen) (next string, rest []string, err error) {
	next = r.units()[0]
	if next == s.serves {
		next = r.units()[1]
	}
	for _, name := range s.rest {
		if _, err := m.run(ctx, "systemctl", "stop", name); err != nil {
			return "", nil, err
		}
		if name != next {
			rest = append(rest, name)
		}
	}
	if s.serves != "" {
		rest = append(rest, s.serves)
	}
	patience := r.Patience
	if patience == 0 {
		patience = 2 * time.Minute
	}
	_, _ = m.run(ctx, "systemctl", "reset-failed", next) // a unit that gave up starting is started all the same
	if _, err := m.Exec(ctx, Command{Args: []string{"systemctl", "start", next}, Timeout: patience}); err != nil {
		_, stop := m.run(ctx, "systemctl", "stop", next) // one that may get ready later would take over unseen
		what := "nothing serves"
		if s.serves != "" {
			what = s.serves + " keeps serving"
		}
		return "", nil, errors.Join(fmt.Errorf("%w\n%s; its log: journalctl -u %s", err, what, next), stop)
	}
	return next, rest, nil
}
