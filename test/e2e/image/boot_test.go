package image

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/image"
)

// userData is what the machine is asked, when cloud-init has nothing else to do any more. It answers on its serial
// line.
const userData = `#cloud-config
runcmd:
- "exec > /dev/ttyS0 2>&1; echo; echo answers-begin"
- "echo kubeadm $(kubeadm version -o short) > /dev/ttyS0 2>&1"
- "for i in $(seq 120); do crictl version > /dev/null 2>&1 && break; sleep 1; done"
- "for i in $(crictl images -q | sort -u); do crictl inspecti -o go-template --template '{{range .status.repoTags}}image {{.}} {{$.status.pinned}}\n{{end}}' $i; done > /dev/ttyS0 2>&1"
- "echo root $(df -m --output=size / | tail -1) > /dev/ttyS0"
- "for u in $(systemctl list-units --failed --plain --no-legend | cut -d' ' -f1); do echo failed $u; done > /dev/ttyS0"
- "for m in /sys/fs/bpf /run/cilium/cgroupv2; do echo mount $m $(findmnt -no FSTYPE $m); done > /dev/ttyS0"
- "[ -d /sys/firmware/efi ] && echo firmware uefi > /dev/ttyS0 || echo firmware bios > /dev/ttyS0"
- "for s in net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables; do echo sysctl $s $(sysctl -n $s); done > /dev/ttyS0"
- "echo containerd $(systemctl is-active containerd) > /dev/ttyS0"
- "echo answers-end > /dev/ttyS0"
power_state: {mode: poweroff}
`

// TestBoots boots an image that "image build --kind vm --format raw" made (IMAGE=FILE), by both kinds of firmware, on a
// disk that is larger than the image.
func TestBoots(t *testing.T) {
	file := os.Getenv("IMAGE")
	if file == "" {
		t.Fatal("IMAGE is not set: make one with jeroboam image build --kind vm --format raw")
	}
	p, err := image.ReadProperties(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, firmware := range []string{"bios", "uefi"} {
		t.Run(firmware, func(t *testing.T) {
			began := time.Now()
			said := boot(t, file, firmware)
			t.Logf("it answered after %s", time.Since(began).Round(time.Second))
			want := []string{
				"kubeadm " + p.KubeVersion, "firmware " + firmware, "containerd active", "mount /sys/fs/bpf bpf", "mount /run/cilium/cgroupv2 cgroup2",
				"sysctl net.ipv4.ip_forward 1", "sysctl net.bridge.bridge-nf-call-iptables 1",
			}
			for _, i := range p.Images {
				want = append(want, "image "+i+" true")
			}
			for _, w := range want {
				if !strings.Contains(said, w+"\n") {
					t.Errorf("it did not say %q", w)
				}
			}
			if strings.Contains(said, "\nfailed ") {
				t.Error("units have failed")
			}
			var size int
			if at := strings.Index(said, "\nroot "); at < 0 {
				t.Error("it did not say how large its root is")
			} else if _, err := fmt.Sscanf(said[at:], "\nroot %d", &size); err != nil || size < 5000 {
				t.Errorf("the root file system has %d MB and did not grow to the disk: %v", size, err)
			}
			if t.Failed() {
				t.Log(said)
			}
		})
	}
}

// boot runs the machine until it turns itself off, and returns what it answered.
func boot(t *testing.T, file, firmware string) string {
	t.Helper()
	dir := t.TempDir()
	disk, seed, serial := filepath.Join(dir, "disk.qcow2"), filepath.Join(dir, "seed"), filepath.Join(dir, "serial")
	file, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	tool(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", file, "-F", "raw", disk, "6G")
	for name, text := range map[string]string{"user-data": userData, "meta-data": "instance-id: one\nlocal-hostname: node\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tool(t, "truncate", "-s", "1M", seed)
	tool(t, "mkfs.vfat", "-n", "CIDATA", seed)
	tool(t, "mcopy", "-i", seed, filepath.Join(dir, "user-data"), filepath.Join(dir, "meta-data"), "::")
	args := []string{
		"-m", "2048", "-accel", "tcg", "-cpu", "max", "-display", "none", "-monitor", "none", "-nic", "user,model=virtio-net-pci,restrict=on", "-serial", "file:" + serial, "-no-reboot",
		"-drive", "file=" + disk + ",format=qcow2,if=virtio", "-drive", "file=" + seed + ",format=raw,if=virtio,readonly=on",
	}
	if firmware == "uefi" {
		args = append(args, "-bios", "/usr/share/ovmf/OVMF.fd")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "qemu-system-x86_64", args...).CombinedOutput()
	text, readErr := os.ReadFile(serial)
	if err != nil || readErr != nil {
		t.Fatalf("qemu: %v: %s: %v; the machine's last words:\n%s", err, out, readErr, text[max(0, len(text)-3000):])
	}
	_, said, found := bytes.Cut(bytes.ReplaceAll(text, []byte("\r"), nil), []byte("answers-begin\n"))
	said, _, ended := bytes.Cut(said, []byte("answers-end"))
	if !found || !ended {
		t.Fatalf("cloud-init did not come to its commands; the machine's last words:\n%s", text[max(0, len(text)-3000):])
	}
	return "\n" + string(said)
}

func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}
