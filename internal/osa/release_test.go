package osa_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

func TestParseRelease(t *testing.T) {
	for name, want := range map[string]osa.Release{
		"29.2.0":            {Name: "29.2.0", DashesMatter: true},
		"29.2.1":            {Name: "29.2.1", DashesMatter: true, AnyUnderscores: true},
		"30.0.0":            {Name: "30.0.0", DashesMatter: true, DeepReference: true},
		"v30.1.5-3-gabcdef": {Name: "30.1.5", DashesMatter: true, DeepReference: true, AnyUnderscores: true},
		"32.2.0":            {Name: "32.2.0", DashesMatter: true, DeepReference: true, AnyUnderscores: true, HostAddress: true},
		"33.0.0":            {Name: "33.0.0", DeepReference: true, AnyUnderscores: true, HostAddress: true},
	} {
		got, err := osa.ParseRelease(name)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	for _, name := range []string{"28.4.0", "30", "master", ""} {
		if _, err := osa.ParseRelease(name); err == nil {
			t.Errorf("%q is taken for a release", name)
		}
	}
}

// Without a word about the release it is known from what is there.
func TestReleaseOfLooks(t *testing.T) {
	for _, tc := range []struct {
		environment string
		dashes      bool
	}{{"testdata/base/30.1.5", true}, {"testdata/base/33.0.1", false}} {
		opts := operator(t, edit())
		opts.Environment = t.TempDir() // a place whose name says nothing
		copyDir(t, opts.Environment, tc.environment)
		src, err := osa.Load(opts)
		if err != nil {
			t.Fatal(err)
		}
		if src.Release.DashesMatter != tc.dashes || src.Release.HostAddress == tc.dashes {
			t.Errorf("%s: %+v", tc.environment, src.Release)
		}
	}
}
