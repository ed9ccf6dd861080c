package host

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Unit is a systemd unit.
type Unit struct {
	Name string `json:"name"`
	// Enabled: it starts at boot. Active: it runs now.
	Enabled bool `json:"enabled"`
	Active  bool `json:"active"`
	// Uses are files that it reads when it starts. One that is newer than the running unit makes it restart; that is seen
	// in the world, so it is not lost when a run is killed between writing and restarting.
	Uses []string `json:"uses,omitempty"`
	// Gone: there should be no such unit running; its file is a File.
	Gone bool `json:"gone,omitempty"`
}

func (u *Unit) thing(plan.Facts) plan.Thing {
	t := plan.Thing{Kind: "unit", Name: u.Name, On: map[string]plan.Action{"current": plan.Restart}}
	if u.Gone {
		return t
	}
	t.Want = plan.Facts{}
	if u.Enabled {
		t.Want["enabled"] = "yes"
	}
	if u.Active {
		t.Want["active"] = "yes"
		if len(u.Uses) > 0 {
			t.Want["current"] = "yes"
		}
	}
	return t
}

func (u *Unit) observe(ctx context.Context, m *Machine) (plan.Facts, error) {
	show, err := m.unitProperties(ctx, u.Name)
	if err != nil {
		return nil, err
	}
	if show["LoadState"] == "not-found" {
		return nil, nil
	}
	have := plan.Facts{"enabled": "no", "active": "no", "ready": "no", "current": "no"}
	switch show["UnitFileState"] {
	case "enabled", "enabled-runtime", "static", "generated", "alias":
		have["enabled"] = "yes"
	}
	switch show["ActiveState"] {
	case "active", "reloading":
		have["active"], have["ready"] = "yes", "yes"
	case "activating": // it starts, or waits to be started again because it has failed
		have["active"] = "yes"
	}
	if u.Gone && have["active"] == "no" && have["enabled"] == "no" {
		return nil, nil
	}
	if strings.HasSuffix(u.Name, ".timer") { // nothing runs: systemd itself says whether it has read the file
		if show["NeedDaemonReload"] == "no" {
			have["current"] = "yes"
		}
		return have, nil
	}
	usec, err := strconv.ParseInt(show["ExecMainStartTimestampMonotonic"], 10, 64)
	if err == nil && usec > 0 && !m.newer(u.Uses, sinceBoot(m.Now(), time.Duration(usec)*time.Microsecond)) {
		have["current"] = "yes"
	}
	return have, nil
}

// unitShown are the properties that are looked at.
const unitShown = "LoadState,UnitFileState,ActiveState,ExecMainStartTimestampMonotonic,MainPID,NeedDaemonReload"

// unitProperties asks systemd.
func (m *Machine) unitProperties(ctx context.Context, name string) (map[string]string, error) {
	out, err := m.run(ctx, "systemctl", "show", name, "-p", unitShown)
	if err != nil {
		return nil, err
	}
	show := map[string]string{}
	for line := range strings.Lines(out) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		show[k] = v
	}
	return show, nil
}

// newer says whether one of the files was written after t.
func (m *Machine) newer(files []string, t time.Time) bool {
	for _, f := range files {
		if written, ok := m.modified(f); ok && written.After(t) {
			return true
		}
	}
	return false
}

// sinceBoot is the time on the clock of a moment of CLOCK_MONOTONIC, which is what systemd notes.
func sinceBoot(now time.Time, mono time.Duration) time.Time {
	return now.Add(mono - monotonic())
}

func (u *Unit) ensure(ctx context.Context, m *Machine) error {
	if u.Gone {
		_, err := m.run(ctx, "systemctl", "disable", "--now", u.Name)
		return err
	}
	if _, err := m.run(ctx, "systemctl", "daemon-reload"); err != nil {
		return err
	}
	if u.Enabled {
		if _, err := m.run(ctx, "systemctl", "enable", u.Name); err != nil {
			return err
		}
	}
	if !u.Active {
		return nil
	}
	have, err := u.observe(ctx, m)
	if err != nil {
		return err
	}
	verb := "start"
	if have["active"] == "yes" && len(u.Uses) > 0 && have["current"] == "no" {
		verb = "restart"
	}
	_, _ = m.run(ctx, "systemctl", "reset-failed", u.Name) // a unit that gave up starting is started all the same
	_, err = m.run(ctx, "systemctl", verb, u.Name)
	return err
}

// tick is how exactly the kernel tells when a process began.
const tick = 20 * time.Millisecond

// processStart is when a process began, in CLOCK_BOOTTIME since boot; false if it is gone.
func (m *Machine) processStart(pid int) (time.Duration, bool) {
	stat := m.read("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, ok := strings.Cut(stat, ") ") // the name before it may hold anything
	if !ok {
		return 0, false
	}
	fields := strings.Fields(rest)
	const startTime = 19 // proc_pid_stat(5): field 22, counted from the state
	if len(fields) <= startTime {
		return 0, false
	}
	ticks, err := strconv.ParseInt(fields[startTime], 10, 64)
	return time.Duration(ticks) * (time.Second / 100), err == nil // USER_HZ is 100 on every Linux
}

// startedAt is a process's start on the clock.
func (m *Machine) startedAt(pid int) (time.Time, bool) {
	at, ok := m.processStart(pid)
	return m.Now().Add(at - boottime()), ok
}
