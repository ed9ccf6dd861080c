package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestUnitsAreTriedForAsLongAsItTakes reads every unit that is shipped. systemd gives up what it has started five times
// within ten seconds (systemd-system.conf(5): DefaultStartLimitBurst, DefaultStartLimitIntervalSec), for good: a
// service whose management cluster was away for half a minute, after a power cut, would stay away.
func TestUnitsAreTriedForAsLongAsItTakes(t *testing.T) {
	restart := regexp.MustCompile(`(?m)^Restart=(always|on-failure)$`)
	pause := regexp.MustCompile(`(?m)^RestartSec=(\d+)$`)
	units := 0
	err := filepath.WalkDir("internal", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".service") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !restart.Match(text) {
			return err
		}
		units++
		seconds := 0
		if m := pause.FindSubmatch(text); m != nil {
			seconds, err = strconv.Atoi(string(m[1]))
		}
		if seconds <= 2 && !strings.Contains(string(text), "StartLimitIntervalSec=0\n") && !strings.Contains(string(text), "StartLimitInterval=0\n") {
			t.Errorf("%s: it starts again after %d s, and systemd gives up after five times: StartLimitIntervalSec=0", path, seconds)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if units < 5 {
		t.Errorf("%d units were read: where are the others?", units)
	}
}
