package host_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// TestBaseContainer finds the root file system that new containers are made of, where OpenStack-Ansible's lxc_hosts
// role puts it or LXC's download template.
func TestBaseContainer(t *testing.T) {
	const debian, noble = "ID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n", "ID=ubuntu\nVERSION_ID=\"24.04\"\nVERSION_CODENAME=noble\n"
	for _, tt := range []struct{ reason, release, there, want string }{
		{"the role's, on Debian", debian, "debian/13", "debian/13"},
		{"the role's, on Ubuntu", noble, "ubuntu/24", "ubuntu/24"},
		{"LXC's, on Debian", debian, "debian/trixie", "debian/trixie"},
		{"LXC's, on Ubuntu", noble, "ubuntu/noble", "ubuntu/noble"},
		{"of another release", debian, "debian/12", ""},
		{"a system that has no code name, and there is none", "ID=rocky\nVERSION_ID=\"9.4\"\n", "", ""},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			root := t.TempDir()
			at := func(release string) string {
				return "/var/cache/lxc/download/" + release + "/" + runtime.GOARCH + "/default/rootfs.tar.xz"
			}
			files := map[string]string{"/etc/os-release": tt.release}
			if tt.there != "" {
				files[at(tt.there)] = "archive"
			}
			for name, text := range files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			f, err := host.Look(t.Context(), &host.Machine{Root: root, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if tt.want != "" {
				want = at(tt.want)
			}
			if f.LXCArchive != want {
				t.Errorf("it is %q, not %q", f.LXCArchive, want)
			}
		})
	}
}
