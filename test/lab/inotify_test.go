package main

import (
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

func TestInotifyRoom(t *testing.T) {
	one, err := layout(1, false)
	if err != nil {
		t.Fatal(err)
	}
	three, err := layout(3, false)
	if err != nil {
		t.Fatal(err)
	}
	beside, err := layout(3, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reason      string
		limit, used int
		hosts       []Host
		room        bool
	}{
		{"three hosts on a machine as it comes", 128, 20, three, true},
		{"beside a lab of one host", 128, 60, three, false},
		{"one host beside three", 128, 110, one, false},
		{"one host", 128, 88, one, true},
		{"three hosts, Keystone, and three containers of Magnum", 128, 10, beside, false},
		{"the same where somebody made room", 512, 100, beside, true},
	} {
		err := machine.InotifyRoom(c.limit, c.used, inotifyNeed(c.hosts))
		if (err == nil) != c.room || err != nil && !strings.Contains(err.Error(), "sysctl -w") {
			t.Errorf("%s: %v", c.reason, err)
		}
	}
}
