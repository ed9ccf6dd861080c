package node_test

import (
	"path"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
)

// TestSettingsOfAHostHoldAfterABoot: OpenStack-Ansible writes net.netfilter.nf_conntrack_max and
// fs.inotify.max_user_instances into /etc/sysctl.conf, and systemd-sysctl reads all files in the order of their names,
// that one as /etc/sysctl.d/99-sysctl.conf (sysctl.d(5), Debian 12, Ubuntu 24.04). The last one that names a key wins.
func TestSettingsOfAHostHoldAfterABoot(t *testing.T) {
	in := deploytest.Seed(t)
	found := 0
	for _, i := range deploytest.Want(t, in, deploytest.Facts(in)).Items {
		if i.File == nil || i.Place != in.Nodes[0].PhysicalHost || path.Dir(i.File.Path) != "/etc/sysctl.d" {
			continue
		}
		found++
		if !strings.Contains(i.File.Content, "nf_conntrack_max = 1572864") || !strings.Contains(i.File.Content, "fs.inotify.max_user_instances = 8192") {
			t.Errorf("%s has\n%s", i.File.Path, i.File.Content)
		}
		if path.Base(i.File.Path) <= "99-sysctl.conf" {
			t.Errorf("%s is overruled by /etc/sysctl.conf at every boot", i.File.Path)
		}
	}
	if found != 1 {
		t.Errorf("%d files of settings", found)
	}
}
