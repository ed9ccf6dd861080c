package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// systemd is two instances of a template, as far as systemctl shows and changes them.
type systemd struct {
	t       *testing.T
	active  map[string]bool
	starts  map[string]bool // it is not ready
	enabled map[string]bool
	since   map[string]time.Time
	fails   bool // a start does
	log     []string
}

func (s *systemd) exec(_ context.Context, c host.Command) (host.Output, error) {
	var names []string
	for _, a := range c.Args[2:] {
		if strings.HasPrefix(a, "p@") {
			names = append(names, a)
		}
	}
	if c.Args[1] == "show" {
		n := names[0]
		state, file := "inactive", "disabled"
		if s.active[n] {
			state = "active"
		}
		if s.starts[n] {
			state = "activating"
		}
		if s.enabled[n] {
			file = "enabled"
		}
		age := int64(0)
		if s.active[n] {
			age = max(1, int64(uptime(s.t)/time.Microsecond)-time.Since(s.since[n]).Microseconds())
		}
		return host.Output{Out: fmt.Sprintf("LoadState=loaded\nUnitFileState=%s\nActiveState=%s\nExecMainStartTimestampMonotonic=%d\n", file, state, age)}, nil
	}
	for _, n := range names {
		switch c.Args[1] {
		case "start":
			s.log = append(s.log, "start "+n)
			if s.fails {
				return host.Output{}, errors.New("timed out")
			}
			s.active[n], s.starts[n], s.since[n] = true, false, time.Now()
		case "stop":
			s.log = append(s.log, "stop "+n)
			s.active[n], s.starts[n] = false, false
		case "enable":
			s.enabled[n] = true
		case "disable":
			if s.active[n] {
				s.log = append(s.log, "stop "+n)
			}
			s.active[n], s.starts[n], s.enabled[n] = false, false, false
		}
	}
	return host.Output{}, nil
}

// uptime is what the kernel's monotonic clock shows, near enough.
func uptime(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/uptime")
	var seconds float64
	if err == nil {
		_, err = fmt.Sscan(string(text), &seconds)
	}
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(seconds * float64(time.Second))
}

func TestRelay(t *testing.T) {
	const a, b = "p@a.service", "p@b.service"
	for _, tt := range []struct {
		reason  string
		active  []string
		stale   []string // of them, those that began before the file was written
		starts  []string // of them, those that are not ready
		enabled []string
		fails   bool
		gone    bool
		want    []string
		says    string
		serves  string
	}{
		{reason: "nothing runs", want: []string{"start " + a}, serves: a},
		{reason: "it runs", active: []string{a}, enabled: []string{a}, serves: a},
		{reason: "the other one runs", active: []string{b}, enabled: []string{b}, serves: b},
		{reason: "a file has changed", active: []string{a}, stale: []string{a}, enabled: []string{a}, want: []string{"start " + b, "stop " + a}, serves: b},
		{reason: "and again", active: []string{b}, stale: []string{b}, enabled: []string{b}, want: []string{"start " + a, "stop " + b}, serves: a},
		{reason: "killed after the start", active: []string{a, b}, stale: []string{a}, enabled: []string{a}, want: []string{"stop " + a}, serves: b},
		{reason: "killed after the start, and another change", active: []string{a, b}, stale: []string{a, b}, enabled: []string{a}, want: []string{"stop " + b, "start " + b, "stop " + a}, serves: b},
		{reason: "it runs and would not start at boot", active: []string{a}, serves: a},
		{reason: "both would start at boot", active: []string{a}, enabled: []string{a, b}, serves: a},
		{reason: "stopped by somebody", enabled: []string{b}, want: []string{"stop " + b, "start " + a}, serves: a},
		{reason: "the new one does not get ready", active: []string{a}, stale: []string{a}, enabled: []string{a}, fails: true, want: []string{"start " + b, "stop " + b}, says: a + " keeps serving", serves: a},
		{
			reason: "killed while the new one started, which never gets ready", active: []string{a, b}, stale: []string{a}, starts: []string{b}, enabled: []string{a},
			fails: true, want: []string{"stop " + b, "start " + b, "stop " + b}, says: a + " keeps serving", serves: a,
		},
		{reason: "killed while the new one started", active: []string{a, b}, stale: []string{a}, starts: []string{b}, enabled: []string{a}, want: []string{"stop " + b, "start " + b, "stop " + a}, serves: b},
		{reason: "it ends again and again", active: []string{b}, starts: []string{b}, enabled: []string{b}, want: []string{"stop " + b, "start " + a}, serves: a},
		{reason: "it is to go", active: []string{a}, enabled: []string{a}, gone: true, want: []string{"stop " + a}},
		{reason: "it has gone", gone: true},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			s := &systemd{t: t, active: map[string]bool{}, starts: map[string]bool{}, enabled: map[string]bool{}, since: map[string]time.Time{}, fails: tt.fails}
			m := &host.Machine{Root: t.TempDir(), Now: time.Now, Exec: s.exec}
			put(t, m, "/etc/p", "x")
			written := time.Now().Add(-10 * time.Minute)
			if err := os.Chtimes(filepath.Join(m.Root, "/etc/p"), written, written); err != nil {
				t.Fatal(err)
			}
			for _, n := range tt.active {
				s.active[n], s.since[n] = true, written.Add(5*time.Minute)
			}
			for _, n := range tt.stale {
				s.since[n] = written.Add(-5 * time.Minute)
			}
			for _, n := range tt.starts {
				s.starts[n] = true
			}
			for _, n := range tt.enabled {
				s.enabled[n] = true
			}
			items := []host.Item{{Relay: &host.Relay{Template: "p@", Uses: []string{"/etc/p"}, Gone: tt.gone}}}
			err := host.Ensure(t.Context(), m, items, func(host.Event) {})
			if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("it said %v", err)
			}
			if diff := cmp.Diff(strings.Join(tt.want, "; "), strings.Join(s.log, "; ")); diff != "" {
				t.Error(diff)
			}
			for _, n := range []string{a, b} {
				if s.active[n] != (n == tt.serves) || s.enabled[n] != (n == tt.serves) {
					t.Errorf("%s: runs %v, at boot %v", n, s.active[n], s.enabled[n])
				}
			}
			if err == nil {
				have, err := host.Observe(t.Context(), m, items)
				if c := items[0].Diff(have[0]); err != nil || c != nil {
					t.Errorf("it is not settled: %+v, %v", c, err)
				}
			}
		})
	}
}
