package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

func TestApplyAsks(t *testing.T) {
	for _, tt := range []struct {
		reason, answer string
		want           string
	}{
		{"yes", "yes\n", ""},
		{"y", " Y\n", ""},
		{"no", "n\n", "nothing was changed"},
		{"just enter", "\n", "nothing was changed"},
		{"nobody answers", "", "no answer"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			var told bytes.Buffer
			err := ask(Streams{In: strings.NewReader(tt.answer), Err: &told}, "2 changes. Carry this out? [y/N] ")
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("want %q, got %v", tt.want, err)
			}
			if !strings.Contains(told.String(), "2 changes") {
				t.Errorf("asked: %q", told.String())
			}
		})
	}
	c := caller{asks: true, streams: Streams{In: strings.NewReader("")}}
	if err := c.Agree(plan.Plan{}); err != nil {
		t.Errorf("no terminal, and somebody was asked: %v", err)
	}
}
