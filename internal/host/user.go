package host

import (
	"context"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// User is a system's user with a group of its own name, for one service: nobody logs in as it. One that is there stays
// as it is.
type User struct {
	Name    string `json:"name"`
	Home    string `json:"home"`
	Comment string `json:"comment,omitempty"`
}

func (u *User) thing(plan.Facts) plan.Thing {
	return plan.Thing{Kind: "user", Name: u.Name, Want: plan.Facts{"user": "yes", "group": "yes"}}
}

func (u *User) observe(_ context.Context, m *Machine) (plan.Facts, error) {
	user, group := named(m.read("/etc/passwd"), u.Name), named(m.read("/etc/group"), u.Name)
	if !user && !group {
		return nil, nil
	}
	have := plan.Facts{"user": "no", "group": "no"}
	if user {
		have["user"] = "yes"
	}
	if group {
		have["group"] = "yes"
	}
	return have, nil
}

// named says whether a file like /etc/passwd has a line of a name.
func named(text, name string) bool { return strings.Contains("\n"+text, "\n"+name+":") }

func (u *User) ensure(ctx context.Context, m *Machine) error {
	if !named(m.read("/etc/group"), u.Name) {
		if _, err := m.run(ctx, "groupadd", "--system", u.Name); err != nil {
			return err
		}
	}
	if named(m.read("/etc/passwd"), u.Name) {
		return nil
	}
	_, err := m.run(ctx, "useradd", "--system", "--gid", u.Name, "--home-dir", u.Home, "--no-create-home", "--shell", "/bin/false",
		"--comment", u.Comment, u.Name)
	return err
}
