package intent_test

import (
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

// Who deploys has gathered no facts, and gets the names that OpenStack-Ansible gives; facts that are known stay.
func TestFactsAreAssumed(t *testing.T) {
	opts := intent.Options{Config: "../testdata/oracle/ha3/deploy", Environment: "../testdata/base/30.1.5", System: "testdata/nowhere"}
	in, _, err := intent.Read(opts)
	if err != nil || len(in.NeedFacts) == 0 {
		t.Fatalf("facts of %v are needed (%v)", in.NeedFacts, err)
	}
	known := in.NeedFacts[0]
	opts.HostFacts = map[string]map[string]string{known: {"hostname": "of-its-own"}}
	in, found, err := intent.ReadAssuming(opts)
	if err != nil || found.Err() != nil || len(in.NeedFacts) > 0 {
		t.Fatalf("facts of %v are needed; %v, %v", in.NeedFacts, err, found.Err())
	}
	for _, n := range in.Nodes {
		if want := map[bool]string{true: "of-its-own", false: n.Name}[n.Name == known]; n.NodeName != want {
			t.Errorf("%s is the Node %s, not %s", n.Name, n.NodeName, want)
		}
	}
	if len(opts.HostFacts) != 1 {
		t.Errorf("the caller's facts were changed: %v", opts.HostFacts)
	}
}
