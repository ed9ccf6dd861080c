package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// File is a file, a directory or a symbolic link, or the absence of one.
type File struct {
	Path string `json:"path"`
	// Content is the text; Blob is the digest of content in the machine's store instead, for what is big.
	Content string `json:"content,omitempty"`
	Blob    string `json:"blob,omitempty"`
	// Self: the content is the agent's own program, which is there already; Blob is its digest.
	Self bool `json:"self,omitempty"`
	// Link is where a symbolic link points to.
	Link string `json:"link,omitempty"`
	Dir  bool   `json:"dir,omitempty"`
	// Gone: there should be nothing.
	Gone bool `json:"gone,omitempty"`
	// Mode is 0644 if zero (0755 for directories), Owner "user:group" is root:root if empty.
	Mode  fs.FileMode `json:"mode,omitempty"`
	Owner string      `json:"owner,omitempty"`
	// Secret keeps the content out of plans and errors.
	Secret bool `json:"secret,omitempty"`
	// Temporary is a directory on the same file system where it is written before it gets its place, which then appears in
	// one step; its own directory if empty. Where others read all files of a directory, one that a kill leaves there would
	// be one more.
	Temporary string `json:"temporary,omitempty"`
	// Once: what is there is left as it is; only its absence is a difference.
	Once bool `json:"once,omitempty"`
}

// maxText bounds a text whose difference is shown line by line.
const maxText = 64 << 10

func (f *File) mode() fs.FileMode {
	switch {
	case f.Mode != 0:
		return f.Mode
	case f.Dir:
		return 0o755
	}
	return 0o644
}

func (f *File) modeText() string { return fmt.Sprintf("%#o", f.mode()) }

func (f *File) owner() string {
	if f.Owner == "" {
		return "root:root"
	}
	return f.Owner
}

func (f *File) thing(plan.Facts) plan.Thing {
	t := plan.Thing{Kind: "file", Name: f.Path, Secret: f.Secret}
	switch {
	case f.Gone:
		return t
	case f.Link != "":
		t.Want = plan.Facts{"link": f.Link}
		return t
	case f.Dir:
		t.Kind = "directory"
	}
	t.Want = plan.Facts{"mode": f.modeText(), "owner": f.owner()}
	switch {
	case f.Dir && f.Once:
		t.Want = plan.Facts{"type": "directory"}
	case f.Dir:
		t.Want["type"] = "directory"
	case f.Once:
	case f.Blob != "":
		t.Want["sha256"] = strings.TrimPrefix(f.Blob, "sha256:")
	case f.Secret:
		sum := sha256.Sum256([]byte(f.Content))
		t.Want["sha256"] = hex.EncodeToString(sum[:])
	default:
		t.Want["content"], t.Text = f.Content, []string{"content"}
	}
	return t
}

func (f *File) observe(_ context.Context, m *Machine) (plan.Facts, error) {
	p := m.path(f.Path)
	info, err := os.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	have := plan.Facts{"mode": fmt.Sprintf("%#o", info.Mode().Perm()), "owner": ownerOf(info)}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		if have["link"], err = os.Readlink(p); err != nil {
			return nil, err
		}
		have["mode"] = "" // a link has none of its own
		have["type"] = "link"
	case info.IsDir():
		have["type"] = "directory"
	case !info.Mode().IsRegular():
		have["type"] = "special file"
	default:
		err = f.observeContent(p, info, have)
	}
	return have, err
}

// observeContent reads as much as the comparison needs.
func (f *File) observeContent(p string, info fs.FileInfo, have plan.Facts) error {
	if f.Blob == "" && !f.Secret && info.Size() <= maxText {
		b, err := os.ReadFile(p)
		have["content"] = string(b)
		return err
	}
	sum, err := fileSum(p)
	have["sha256"] = sum
	if f.Blob == "" && !f.Secret {
		have["content"] = fmt.Sprintf("(%d bytes)\n", info.Size())
	}
	return err
}

func fileSum(p string) (string, error) {
	file, err := os.Open(p)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // only read
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func ownerOf(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	uid, gid := strconv.FormatUint(uint64(st.Uid), 10), strconv.FormatUint(uint64(st.Gid), 10)
	if u, err := user.LookupId(uid); err == nil {
		uid = u.Username
	}
	if g, err := user.LookupGroupId(gid); err == nil {
		gid = g.Name
	}
	return uid + ":" + gid
}

// idsOf are the numbers of a file's owner.
func idsOf(info fs.FileInfo) (uid, gid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(st.Uid), int(st.Gid), true
}

// ids resolves "user:group". Only root's can be unknown, in a root file system that is not ours yet.
func ids(owner string) (int, int, error) {
	name, group, _ := strings.Cut(owner, ":")
	if name == "root" && group == "root" {
		return 0, 0, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("owner %s: %w", owner, err)
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, 0, fmt.Errorf("owner %s: %w", owner, err)
	}
	uid, _ := strconv.Atoi(u.Uid) // numbers on the systems we run on
	gid, _ := strconv.Atoi(g.Gid)
	return uid, gid, nil
}

func (f *File) ensure(_ context.Context, m *Machine) error {
	p := m.path(f.Path)
	if f.Gone {
		if err := os.RemoveAll(p); err != nil {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	uid, gid, err := ids(f.owner())
	if err != nil {
		return err
	}
	switch {
	case f.Link != "":
		tmp := p + ".jeroboam-new"
		_ = os.Remove(tmp) // of a run that was killed
		if err := os.Symlink(f.Link, tmp); err != nil {
			return err
		}
		return os.Rename(tmp, p)
	case f.Dir && f.Once && m.exists(f.Path):
		return fmt.Errorf("%s is there and is no directory", f.Path)
	case f.Dir:
		if err := os.MkdirAll(p, f.mode()); err != nil {
			return err
		}
	case f.Once && m.exists(f.Path):
	default:
		return f.write(m, p, uid, gid)
	}
	if err := os.Chmod(p, f.mode()); err != nil {
		return err
	}
	return m.chown(p, uid, gid)
}

// chown is left out where a directory stands for the machine: tests are not always root.
func (m *Machine) chown(p string, uid, gid int) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(p, uid, gid)
}

// open opens what the file is made of.
func (f *File) open(m *Machine) (*os.File, error) {
	if !f.Self {
		return openBlob(m, f.Blob)
	}
	return os.Open("/proc/self/exe")
}

// write replaces the file in one step.
func (f *File) write(m *Machine, p string, uid, gid int) error {
	source := io.Reader(strings.NewReader(f.Content))
	if f.Blob != "" {
		blob, err := f.open(m)
		if err != nil {
			return err
		}
		defer func() { _ = blob.Close() }() // only read
		source = blob
	}
	tmp, err := f.temporary(m, p)
	if err != nil {
		return err
	}
	defer func() { _ = tmp.Close() }()           // written and synced by then
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when all went well
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(tmp, h), source)
	if err == nil && f.Blob != "" && "sha256:"+hex.EncodeToString(h.Sum(nil)) != f.Blob {
		err = fmt.Errorf("blob %s is damaged in the host's store: remove %s and run again", f.Blob, BlobPath(f.Blob))
	}
	if err == nil {
		err = tmp.Chmod(f.mode())
	}
	if err == nil {
		err = m.chown(tmp.Name(), uid, gid)
	}
	if err != nil {
		return err
	}
	return whole.Name(tmp.Name(), p)
}

// temporary makes the file to write first, and removes those that killed runs have left: whoever changes a machine is
// alone there.
func (f *File) temporary(m *Machine, p string) (*os.File, error) {
	name := "." + filepath.Base(p) + temporaryMark
	dirs := []string{filepath.Dir(p)}
	if f.Temporary != "" {
		dirs = append(dirs, m.path(f.Temporary))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		left, _ := filepath.Glob(filepath.Join(dir, globQuote(name)) + "*") // the pattern is a good one
		for _, l := range left {
			if err := os.Remove(l); err != nil {
				return nil, err
			}
		}
	}
	return os.CreateTemp(dirs[len(dirs)-1], name+"*")
}

// temporaryMark is in the names of files that do not have their place yet.
const temporaryMark = ".jeroboam-"

// globQuote makes a name one that a pattern matches as it is.
func globQuote(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// Mark begins the text of files that a deployment writes, where it has to tell them from those of others later.
const Mark = "# Written by jeroboam deploy.\n"
