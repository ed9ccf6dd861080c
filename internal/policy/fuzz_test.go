package policy_test

import (
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// FuzzLoad checks that no file makes the compiler panic or hang, that what compiles can be asked, and that a file never
// gives the zero caller something unless the file says so.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"a: role:x and (not rule:b or @)\nb: '!'\n", `{"a": [["role:x"], "b:%(user_id)s"]}`, "a: 'x':%(project_id)s", "a: \"'x':%%%(user_id)s\"", "a: ((", "a: [",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := policy.Load(policy.Settings{}, policy.Source{Name: "f", Data: data})
		if (e == nil) == (err == nil) {
			t.Fatal("an enforcer or an error")
		}
		if err != nil {
			return
		}
		for _, d := range policy.Defaults() {
			grant, err := e.Authorize(memberCreds(), d.Name, policy.Target{ProjectID: otherProject})
			if (err != nil) != (grant == policy.Grant{}) || grant.Allows(demoProject) {
				t.Errorf("%s: grant %v with error %v", d.Name, grant, err)
			}
		}
		if _, err := e.Authorize(policy.Credentials{}, "cluster:create", policy.Target{}); err == nil {
			t.Error("the zero caller has no project, so project rules refuse it")
		}
	})
}

// FuzzCheck does the same for single checks, without YAML in the way.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", "@", "not role:x and (rule:is_user or !)", "'%%':%(user_id)s", "((@)", "is_admin:True", "rule:fuzz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		plain, err := policy.New(policy.Rule{Name: "fuzz", Check: text})
		inverted, err2 := policy.New(policy.Rule{Name: "fuzz", Check: "not (" + text + " )"})
		if err != nil || text == "" || err2 != nil {
			return
		}
		_, a := plain.Authorize(memberCreds(), "fuzz", policy.Target{ProjectID: demoProject})
		_, b := inverted.Authorize(memberCreds(), "fuzz", policy.Target{ProjectID: demoProject})
		if (a == nil) == (b == nil) {
			t.Errorf("%q and its opposite agree", text)
		}
	})
}
