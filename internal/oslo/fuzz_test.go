package oslo_test

import (
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/oslo"
)

// FuzzRead checks that no file makes the reader panic or hang, that every option it reports exists on its line, and
// that all options end up used once each has been asked for.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"[DEFAULT]\na = $b ${c.d} $$ \\$\n  more\nb: 'x'\n", "a\n[", "[]\n=\n", "\ufeff[x]\r\na=1\ra=2", "[x]\na=$a", "[x]\na=$b$b\nb=$c$c",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _ := oslo.Read(oslo.Source{Name: "f", Data: data}, oslo.Source{Name: "g", Data: data})
		for _, o := range c.Unused() {
			if o.Line < 1 || o.Option == "" || o.Group == "" {
				t.Errorf("no place: %+v", o)
			}
		}
		for _, o := range c.Unused() {
			if !c.Has(o.Group, o.Option) {
				t.Errorf("%v is not found under its own name", o)
			}
			c.String(o.Group, o.Option, "")
			c.Strings(o.Group, o.Option, nil)
			c.List(o.Group, o.Option, nil)
			c.Int(o.Group, o.Option, 0)
			c.Seconds(o.Group, o.Option, 0)
			c.Bool(o.Group, o.Option, false)
		}
		if left := c.Unused(); len(left) > 0 {
			t.Errorf("still unused: %v", left)
		}
		_ = c.Err()
	})
}
