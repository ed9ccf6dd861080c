package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const sector = 512

// biosBoot writes GRUB's first sectors, as grub-bios-setup does: boot.img, which knows the first sector of the core,
// into the master boot record, and the core, which knows where the rest of itself is, into its partition. The offsets
// are those of GRUB 2.06 (include/grub/i386/pc/boot.h and diskboot.S).
func (b *builder) biosBoot() (err error) {
	boot, err := os.ReadFile(filepath.Join(b.work, "boot.img"))
	if err != nil {
		return err
	}
	core, err := os.ReadFile(filepath.Join(b.work, "core.img"))
	if err != nil {
		return err
	}
	first, err := patchGrub(boot, core, coreStart*mib/sector, coreSize*mib)
	if err != nil {
		return err
	}
	disk, err := os.OpenFile(b.disk, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	// The partition table of old, which protects the new one, is behind the code and stays.
	if _, err := disk.WriteAt(first[:440], 0); err != nil {
		return err
	}
	_, err = disk.WriteAt(core, coreStart*mib)
	return err
}

// patchGrub tells boot.img and core.img where the core is, from its first sector on. It changes core, and returns
// boot's copy.
func patchGrub(boot, core []byte, start uint64, room int) ([]byte, error) {
	const (
		kernelSector = 0x5c        // of boot.img: where the core begins
		driveCheck   = 0x66        // of boot.img: a jump that distrusts the drive number of the BIOS; two nops trust it
		blockList    = sector - 12 // of core.img: start, length in sectors, and segment of the rest
	)
	switch {
	case len(boot) != sector || boot[510] != 0x55 || boot[511] != 0xaa:
		return nil, errors.New("GRUB's boot.img is no boot sector")
	case len(core) <= sector:
		return nil, errors.New("GRUB's core has no second sector")
	case len(core) > room:
		return nil, fmt.Errorf("GRUB's core has %d bytes, and its partition %d", len(core), room)
	}
	out := append([]byte(nil), boot...)
	binary.LittleEndian.PutUint64(out[kernelSector:], start)
	out[driveCheck], out[driveCheck+1] = 0x90, 0x90
	rest := (len(core) - sector + sector - 1) / sector
	binary.LittleEndian.PutUint64(core[blockList:], start+1)
	binary.LittleEndian.PutUint16(core[blockList+8:], uint16(rest))
	binary.LittleEndian.PutUint16(core[blockList+10:], 0x820)
	return out, nil
}
