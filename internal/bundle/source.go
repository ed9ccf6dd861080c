package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// checkHost compares the packages that C code is compiled with.
func (b *builder) checkHost(ctx context.Context) error {
	if !b.FromSource {
		return nil
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(b.lock.Host)) {
		want := b.lock.Host[name]
		out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f=${db:Status-Status} ${Version}", name).Output()
		have, installed := strings.CutPrefix(string(out), "installed ")
		switch {
		case err != nil || !installed:
			problems = append(problems, fmt.Errorf("the Debian package %s is missing, which C code is compiled with: apt-get install %s", name, name))
		case have != want:
			b.differs = true
			if !b.AnyHost && !b.Record {
				problems = append(problems, fmt.Errorf("%s is %s here, and %s in the lock: what is compiled with it may come out different; install that version, or use --any-host",
					name, have, want))
			}
		}
	}
	return errors.Join(problems...)
}

// plan of a module: the text of the go.mod with which its programs are built.
func (b *builder) goMod(m *Module) string {
	require := Pins{m.Path: m.Version}
	for _, set := range m.Pins {
		maps.Copy(require, b.lock.Pins[set])
	}
	maps.Copy(require, m.Require)
	require[m.Path] = m.Version
	var text strings.Builder
	fmt.Fprintf(&text, "module bundle.invalid/%s\n\ngo %s\n\nrequire (\n", m.Name, strings.TrimPrefix(b.lock.Toolchain, "go"))
	for _, path := range slices.Sorted(maps.Keys(require)) {
		fmt.Fprintf(&text, "\t%s %s\n", path, require[path])
	}
	text.WriteString(")\n")
	for _, r := range m.Replace {
		with := r.With
		if len(r.Files) > 0 {
			with = "./" + replaced(r.Module)
		}
		fmt.Fprintf(&text, "\nreplace %s => %s\n", r.Module, with)
	}
	return text.String()
}

// replaced is where the files of a replaced module are, beside the go.mod: a place that does not depend on the machine.
func replaced(module string) string { return "replace/" + module }

// replacements are the files that a module's build has of the lock, by their path beside its go.mod.
func (b *builder) replacements(m *Module) map[string]string {
	out := map[string]string{}
	for _, r := range m.Replace {
		for name, text := range r.Files {
			out[replaced(r.Module)+"/"+name] = text
		}
		if len(r.Files) > 0 {
			out[replaced(r.Module)+"/go.mod"] = fmt.Sprintf("module %s\n\ngo %s\n", r.Module, strings.TrimPrefix(b.lock.Toolchain, "go"))
		}
	}
	return out
}

// recipe is everything that a module's programs are built with, beside the compiler.
func (b *builder) recipe(m *Module) string {
	text := b.goMod(m)
	files := b.replacements(m)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text += name + "\x00" + files[name]
	}
	return text
}

// environment is that of every compiler run: nothing of the user's settings that could change what comes out.
func (b *builder) environment(cgo bool) []string {
	system, arch, _ := strings.Cut(b.lock.Platform, "/")
	var private []string
	for _, m := range b.lock.Modules {
		if m.Private {
			private = append(private, m.Path)
		}
	}
	enabled := "0"
	if cgo {
		enabled = "1"
	}
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		// Where modules and caches are is the user's; how things are compiled is the lock's.
		keep := []string{"GOPROXY", "GOMODCACHE", "GOCACHE", "GOPATH", "GOTMPDIR", "GOSUMDB", "GOINSECURE"}
		return (strings.HasPrefix(name, "GO") || strings.HasPrefix(name, "CGO_")) && !slices.Contains(keep, name)
	})
	return append(env, "GOTOOLCHAIN="+b.lock.Toolchain, "GOENV=off", "GOWORK=off", "GOFLAGS=", "GOOS="+system, "GOARCH="+arch,
		"GOAMD64=v1", "GOARM64=v8.0", "GONOSUMDB="+strings.Join(private, ","), "CGO_ENABLED="+enabled, "LC_ALL=C")
}

// moduleDir is the directory with the go.mod for a module's programs.
func (b *builder) moduleDir(m *Module) (string, error) {
	dir := filepath.Join(b.Cache, "modules", m.Name+"-"+hash(b.recipe(m)))
	if exists(filepath.Join(dir, "go.mod")) {
		return dir, nil
	}
	files := b.replacements(m)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return "", err
		}
		if err := whole.Write(at, []byte(files[name]), 0o644); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, whole.Write(filepath.Join(dir, "go.mod"), []byte(b.goMod(m)), 0o644)
}

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:10])
}

// sources fetches a module, compares its sum with the lock's, and says where it is.
func (b *builder) sources(ctx context.Context, m *Module) (string, error) {
	dir, err := b.moduleDir(m)
	if err != nil {
		return "", err
	}
	out, err := b.goTool(ctx, dir, false, "mod", "download", "-json", m.Path+"@"+m.Version)
	var got struct{ Dir, Sum, Error string }
	if len(out) > 0 {
		if err := json.Unmarshal(out, &got); err != nil {
			return "", fmt.Errorf("module %s: %w", m.Path, err)
		}
	}
	if got.Error != "" {
		return "", fmt.Errorf("module %s@%s: %s", m.Path, m.Version, got.Error)
	}
	if err != nil {
		return "", fmt.Errorf("module %s@%s: %w", m.Path, m.Version, err)
	}
	b.digests["module "+m.Name] = got.Sum
	if m.Sum != got.Sum && (m.Sum != "" || m.Private) && !b.Record {
		return "", fmt.Errorf("module %s@%s is not what the lock says: its sum must be %s and is %s", m.Path, m.Version, m.Sum, got.Sum)
	}
	return got.Dir, nil
}

func (b *builder) goTool(ctx context.Context, dir string, cgo bool, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, b.environment(cgo)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("go %s: %w\n%s", args[0], err, complaints(errOut.String()))
	}
	return out, nil
}

// complaints leaves out what the go command says when all is well.
func complaints(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "go: downloading") && !strings.HasPrefix(line, "go: finding") {
			kept = append(kept, strings.TrimRight(line, "\n"))
		}
	}
	return strings.Join(kept[max(0, len(kept)-40):], "\n")
}

// make builds a program, or finds it in the cache, and says which.
func (b *builder) make(ctx context.Context, name string) (file, how string, err error) {
	prog := b.lock.program(name)
	mod := b.lock.module(prog.Module)
	facts := []string{b.lock.Toolchain, b.lock.Platform, b.recipe(mod), prog.facts()}
	if prog.Cgo || prog.C != "" {
		facts = append(facts, fmt.Sprint(b.lock.Host, b.differs))
	}
	dir := filepath.Join(b.Cache, "programs", prog.Name+"-"+hash(facts...))
	file = filepath.Join(dir, prog.Name)
	if _, err := os.Stat(file); err == nil {
		return file, "cached", nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", "", err
	}
	src, err := b.sources(ctx, mod)
	if err != nil {
		return "", "", err
	}
	tmp, err := os.MkdirTemp(dir, "new")
	if err != nil {
		return "", "", err
	}
	defer func() { _ = os.RemoveAll(tmp) }() // what is good is moved out of it
	out := filepath.Join(tmp, prog.Name)
	if prog.C != "" {
		err = b.compileC(ctx, filepath.Join(src, filepath.FromSlash(prog.C)), out)
	} else {
		err = b.compileGo(ctx, mod, prog, out)
	}
	if err != nil {
		return "", "", fmt.Errorf("program %s: %w", prog.Name, err)
	}
	return file, "built", whole.Name(out, file)
}

// facts are what a program is found by in the cache. A kind of program that came later must not make all others be
// built anew.
func (p *Program) facts() string {
	text := fmt.Sprintf("%+v", struct {
		Name, Module, Package, C string
		Tags                     []string
		Variables                map[string]string
		Cgo                      bool
	}{p.Name, p.Module, p.Package, p.C, p.Tags, p.Variables, p.Cgo})
	if p.Test {
		text += " test"
	}
	return text
}

func (b *builder) compileGo(ctx context.Context, mod *Module, prog *Program, out string) error {
	dir, err := b.moduleDir(mod)
	if err != nil {
		return err
	}
	flags := []string{"-s", "-w"}
	for _, name := range slices.Sorted(maps.Keys(prog.Variables)) {
		flags = append(flags, "-X", quoted(name+"="+prog.Variables[name]))
	}
	if prog.Cgo {
		flags = append(flags, "-linkmode=external", "-extldflags=-static")
	}
	args := []string{"build"}
	if prog.Test {
		args = []string{"test", "-c", "-vet=off"}
	}
	args = append(args, "-mod=mod", "-trimpath", "-buildvcs=false", "-o", out, "-ldflags", strings.Join(flags, " "))
	if len(prog.Tags) > 0 {
		args = append(args, "-tags", strings.Join(prog.Tags, ","))
	}
	if b.Jobs > 0 {
		args = append(args, "-p", fmt.Sprint(b.Jobs))
	}
	_, err = b.goTool(ctx, dir, prog.Cgo, append(args, path.Join(mod.Path, prog.Package))...)
	return err
}

// quoted is one word of the linker's flags, which the go command separates by spaces.
func quoted(word string) string {
	if strings.Contains(word, " ") {
		return "'" + word + "'"
	}
	return word
}

func (b *builder) compileC(ctx context.Context, src, out string) error {
	cmd := exec.CommandContext(ctx, "gcc", "-Os", "-Wall", "-static", "-s", "-Wl,--build-id=none", "-ffile-prefix-map="+filepath.Dir(src)+"=.", "-o", out, src)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("gcc: %w: %s", err, text)
	}
	return nil
}
