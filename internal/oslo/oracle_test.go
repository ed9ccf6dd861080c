package oslo_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/oslo"
)

// TestOracle holds this package against what oslo.config itself answered. testdata/oracle.py makes the file.
func TestOracle(t *testing.T) {
	data, err := os.ReadFile("testdata/oracle.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Reason  string
		Files   []string
		Asks    [][3]string
		Answers []struct {
			Value any
			Error bool
		}
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, tc := range cases {
		var sources []oslo.Source
		for i, text := range tc.Files {
			sources = append(sources, oslo.Source{Name: fmt.Sprint(i), Data: []byte(text)})
		}
		for i, ask := range tc.Asks {
			t.Run(tc.Reason+"/"+ask[2], func(t *testing.T) {
				c, readErr := oslo.Read(sources...)
				got := askAs(c, ask[0], ask[1], ask[2])
				if err := errors.Join(readErr, c.Err()); (err != nil) != tc.Answers[i].Error {
					t.Fatalf("%s: error %v, oslo.config had one: %t", tc.Reason, err, tc.Answers[i].Error)
				}
				if tc.Answers[i].Error {
					return
				}
				if diff := cmp.Diff(tc.Answers[i].Value, got); diff != "" {
					t.Errorf("%s: -oslo.config +ours\n%s", tc.Reason, diff)
				}
			})
		}
	}
}

// askAs reads an option with the getter of the kind, and gives nil if it is not set, in the types of encoding/json.
func askAs(c *oslo.Config, kind, group, name string) any {
	const unset = 987654
	var got any
	switch kind {
	case "str":
		got = c.String(group, name, "unset")
	case "multi":
		got = c.Strings(group, name, nil)
	case "bool":
		got = c.Bool(group, name, false)
	case "int":
		got = float64(c.Int(group, name, unset))
	case "float":
		got = c.Float(group, name, unset)
	case "list":
		got = c.List(group, name, nil)
	}
	switch got := got.(type) {
	case []string:
		items := make([]any, len(got))
		for i := range got {
			items[i] = got[i]
		}
		return items
	case string:
		if got == "unset" {
			return nil
		}
	case float64:
		if got == unset {
			return nil
		}
	}
	return got
}
