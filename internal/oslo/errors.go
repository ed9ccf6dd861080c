package oslo

import (
	"errors"
	"fmt"
)

// Error is one problem in one place. It never shows the text of a value whose option is not known to be harmless: a
// configuration file is full of passwords.
type Error struct {
	Option
	// Expected says what would be right there.
	Expected string
	// Found is the offending text of typed options, quoted; empty if it may be a secret.
	Found string
}

// Error says where, what was expected and, if it can be shown, what was found.
func (e *Error) Error() string {
	where := e.File
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	if e.Option.Option != "" {
		where += fmt.Sprintf(": [%s] %s", e.Group, e.Option.Option)
	}
	if e.Found == "" {
		return fmt.Sprintf("%s: expected %s", where, e.Expected)
	}
	return fmt.Sprintf("%s: expected %s, found %s", where, e.Expected, e.Found)
}

// Err joins all problems the getters and Reject have met so far; nil if there are none.
func (c *Config) Err() error {
	return errors.Join(c.problems...)
}

// Reject records that the value of an option is not acceptable for a reason only the caller knows ("a URL with https").
// The problem is reported by Err with the place of the value. The value itself is not shown.
func (c *Config) Reject(group, option, expected string) {
	k := newKey(group, option)
	at := Option{File: "default", Group: k.group, Option: option}
	if values := c.find(k); len(values) > 0 {
		at = values[len(values)-1].at
	}
	c.report(&Error{Option: at, Expected: expected})
}

// report keeps each problem once, because the same option may be asked for twice.
func (c *Config) report(e *Error) {
	if text := e.Error(); !c.reported[text] {
		c.reported[text] = true
		c.problems = append(c.problems, e)
	}
}
