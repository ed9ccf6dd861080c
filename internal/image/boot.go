package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A virtual machine's disk, in MiB: a partition for GRUB's core, which a BIOS loads by block numbers; the EFI system
// partition; and the root file system, last, so that it can grow.
const (
	coreStart, coreSize = 1, 1
	espStart, espSize   = 2, 14
	rootStart           = 16
	tableEnd            = 1 // the copy of the partition table at the end
)

// espID is the EFI file system's serial number.
const espID = "4A45524F"

// grubModules are all that GRUB needs to read the kernel from ext4 on GPT. It loads no others, so none are on the disk.
const grubModules = "part_gpt ext2 normal linux search search_fs_uuid configfile echo test gzio serial terminal minicmd"

// grubConfig boots the newest kernel: its package keeps /vmlinuz and /initrd.img.
const grubConfig = `serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=0
menuentry "Debian" {
	search --no-floppy --fs-uuid --set=root ` + rootUUID + `
	linux /vmlinuz root=UUID=` + rootUUID + ` ro net.ifnames=0 console=tty0 console=ttyS0,115200n8
	initrd /initrd.img
}
`

const fstab = "UUID=" + rootUUID + " / ext4 defaults,errors=remount-ro 0 1\n"

// virtualDisk makes partitions, file systems and boot loader in a file: no loop device, no mount, nothing left after a
// kill.
func (b *builder) virtualDisk(ctx context.Context) error {
	if err := b.bootLoader(ctx); err != nil {
		return err
	}
	used, err := b.used()
	if err != nil {
		return err
	}
	size := b.Size
	if size == 0 {
		size = (rootStart+tableEnd)*mib + used + used/5 + 512*mib
	}
	size = size / mib * mib
	rootSize := size - (rootStart+tableEnd)*mib
	root, esp := filepath.Join(b.work, "root.ext4"), filepath.Join(b.work, "esp.vfat")
	if err := b.ext4(ctx, root, rootSize); err != nil {
		return err
	}
	if err := b.efi(ctx, esp); err != nil {
		return err
	}
	if err := makeSparse(b.disk, size); err != nil {
		return err
	}
	table := fmt.Sprintf(`label: gpt
label-id: 4A65726F-626F-616D-8000-000000000001
start=%dMiB, size=%dMiB, type=21686148-6449-6E6F-744E-656564454649, uuid=4A65726F-626F-616D-8000-000000000002, name="bios"
start=%dMiB, size=%dMiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=4A65726F-626F-616D-8000-000000000003, name="efi"
start=%dMiB, size=%dMiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=4A65726F-626F-616D-8000-000000000004, name="root"
`, coreStart, coreSize, espStart, espSize, rootStart, rootSize/mib)
	if err := run(ctx, strings.NewReader(table), "sfdisk", "--quiet", b.disk); err != nil {
		return err
	}
	for _, part := range []struct {
		file string
		at   int64
	}{{esp, espStart}, {root, rootStart}} {
		err := run(ctx, nil, "dd", "if="+part.file, "of="+b.disk, "bs=1M", fmt.Sprint("seek=", part.at), "conv=notrunc,sparse", "status=none")
		if err = errors.Join(err, os.Remove(part.file)); err != nil {
			return err
		}
	}
	b.size = size
	return b.biosBoot()
}

// bootLoader lets the image's own GRUB packages make the two loaders, and takes the packages away: updates of the
// kernel need none of them.
func (b *builder) bootLoader(ctx context.Context) error {
	for name, text := range map[string]string{
		"boot/grub/grub.cfg": grubConfig,
		"etc/fstab":          fstab,
		"core.cfg":           "search --no-floppy --fs-uuid --set=root " + rootUUID + "\nset prefix=($root)/boot/grub\nnormal\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(b.root, name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.root, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for format, more := range map[string]string{"i386-pc": "biosdisk", "x86_64-efi": "efi_gop"} {
		args := []string{b.root, "grub-mkimage", "-O", format, "-c", "/core.cfg", "-p", "/boot/grub", "-o", "/core." + format}
		if err := run(ctx, nil, "chroot", append(args, strings.Fields(grubModules+" "+more)...)...); err != nil {
			return err
		}
	}
	for from, to := range map[string]string{"core.i386-pc": "core.img", "core.x86_64-efi": "core.efi", "usr/lib/grub/i386-pc/boot.img": "boot.img"} {
		if err := run(ctx, nil, "cp", filepath.Join(b.root, from), filepath.Join(b.work, to)); err != nil {
			return err
		}
	}
	if err := run(ctx, nil, "chroot", b.root, "dpkg", "--purge", "--force-depends", "grub-pc-bin", "grub-efi-amd64-bin", "grub-common"); err != nil {
		return err
	}
	// dpkg takes /boot/grub with it.
	if err := os.MkdirAll(filepath.Join(b.root, "boot/grub"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"core.cfg", "core.i386-pc", "core.x86_64-efi"} {
		if err := os.Remove(filepath.Join(b.root, name)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(b.root, "boot/grub/grub.cfg"), []byte(grubConfig), 0o644)
}

// efi makes the EFI system partition, with the loader under the name that firmware looks for on any disk.
func (b *builder) efi(ctx context.Context, file string) error {
	if err := makeSparse(file, espSize*mib); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"mkfs.vfat", "--invariant", "-i", espID, "-n", "EFI", file},
		{"mmd", "-i", file, "::/EFI", "::/EFI/BOOT"},
		{"mcopy", "-i", file, filepath.Join(b.work, "core.efi"), "::/EFI/BOOT/BOOTX64.EFI"},
	} {
		if err := run(ctx, nil, args[0], args[1:]...); err != nil {
			return err
		}
	}
	return nil
}
