package sign_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return name
}

// pair makes a key as a file, and the file of its public part.
func pair(t *testing.T, dir, name string) (secret, public string) {
	t.Helper()
	key, text, err := sign.NewKey("")
	if err != nil {
		t.Fatal(err)
	}
	pub, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(dir, name), string(text), 0o600), write(t, filepath.Join(dir, name+".pub"), pub, 0o644)
}

func signed(t *testing.T, secret, text string) []byte {
	t.Helper()
	key, err := sign.ReadKey(secret, "")
	if err != nil {
		t.Fatal(err)
	}
	out, err := key.Sign([]byte(text), "a comment")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhoseSignaturesAreBelieved(t *testing.T) {
	dir := t.TempDir()
	mine, minePub := pair(t, dir, "mine")
	other, otherPub := pair(t, dir, "other")
	both := write(t, filepath.Join(dir, "both.pub"), readFile(t, minePub)+"# next year's\n"+readFile(t, otherPub), 0o644)
	bare := write(t, filepath.Join(dir, "bare.pub"), strings.Split(readFile(t, minePub), "\n")[1], 0o644)
	good := string(signed(t, mine, "text"))
	for _, c := range []struct{ reason, trust, signature, text, want string }{
		{"the right key", minePub, good, "text", ""},
		{"a key without its comment, as minisign prints it", bare, good, "text", ""},
		{"one of several keys", both, string(signed(t, other, "text")), "text", ""},
		{"another text", minePub, good, "other text", "was changed after it was signed"},
		{"another key", otherPub, good, "text", "is signed by key "},
		{"the key's id put onto another's signature", minePub, forge(t, good, string(signed(t, other, "text"))), "text", "was changed after it was signed"},
		{"a signed comment that was changed", minePub, strings.Replace(good, "a comment", "a c0mment", 1), "text", "was changed after it was signed"},
		{"no signature", minePub, "", "text", "its signature is none of minisign"},
		{"half a signature", minePub, good[:len(good)/2], "text", "its signature is none of minisign"},
	} {
		trust, err := sign.ReadTrust(c.trust)
		if err != nil {
			t.Fatal(err)
		}
		err = trust.Check("bundle.json", []byte(c.text), []byte(c.signature))
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: want %q, have %v", c.reason, c.want, err)
		}
	}
}

// forge gives a signature the signatures of another one, and keeps its key id: the first ten bytes, of which base64
// holds nine in twelve letters.
func forge(t *testing.T, good, other string) string {
	t.Helper()
	g, o := strings.Split(good, "\n"), strings.Split(other, "\n")
	return strings.Join([]string{g[0], g[1][:14] + o[1][14:], o[2], o[3], ""}, "\n")
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatIsNotSigned(t *testing.T) {
	dir := t.TempDir()
	secret, public := pair(t, dir, "mine")
	trust, err := sign.ReadTrust(public)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{"list": {Data: []byte("text")}}
	if _, err := trust.CheckFile(files, "list"); err == nil || !strings.Contains(err.Error(), "list is not signed, and "+public+" asks for it") {
		t.Errorf("without a signature: %v", err)
	}
	files["list.minisig"] = &fstest.MapFile{Data: signed(t, secret, "text")}
	if text, err := trust.CheckFile(files, "list"); err != nil || string(text) != "text" {
		t.Errorf("with one: %q, %v", text, err)
	}
	if text, err := (sign.Trust{}).CheckFile(fstest.MapFS{"list": {Data: []byte("x")}}, "list"); err != nil || string(text) != "x" {
		t.Errorf("nobody asks: %q, %v", text, err)
	}
}

func TestKeysThatOthersCouldRead(t *testing.T) {
	dir := t.TempDir()
	secret, public := pair(t, dir, "mine")
	for _, c := range []struct {
		reason, file string
		mode         os.FileMode
		want         string
	}{
		{"its owner's alone", secret, 0o600, ""},
		{"read only", secret, 0o400, ""},
		{"the group's", secret, 0o640, "has mode 0640: others could read it"},
		{"everybody's", secret, 0o604, "has mode 0604: others could read it"},
		{"a public key", public, 0o600, "is no secret key"},
		{"a directory", dir, 0o700, "is no file"},
	} {
		if err := os.Chmod(c.file, c.mode); err != nil {
			t.Fatal(err)
		}
		key, err := sign.ReadKey(c.file, "")
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: want %q, have %v", c.reason, c.want, err)
		}
		body := strings.Split(readFile(t, secret), "\n")[1]
		if err != nil && strings.Contains(err.Error(), body[40:60]) {
			t.Errorf("%s: the error has the key in it", c.reason)
		}
		for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
			if said := fmt.Sprintf(form, key); len(said) != 16 {
				t.Errorf("%s: a key prints as %q with %s", c.reason, said, form)
			}
		}
	}
}

func TestPublicKeysThatAreNone(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "bad.pub"), "untrusted comment: x\nabc\n\nRWQ\n", 0o644)
	_, err := sign.ReadTrust(file)
	if err == nil || !strings.Contains(err.Error(), ":2: no public key") || !strings.Contains(err.Error(), ":4: no public key") {
		t.Errorf("all that is wrong, with its line: %v", err)
	}
	// An emptied file must not mean that nothing is asked for.
	if _, err := sign.ReadTrust(write(t, filepath.Join(dir, "empty.pub"), "\n# gone\n", 0o644)); err == nil || !strings.Contains(err.Error(), "has no public key") {
		t.Errorf("an empty file: %v", err)
	}
}

// TestMinisignItself holds the format to the program it comes from (Debian's package minisign).
func TestMinisignItself(t *testing.T) {
	minisign, err := exec.LookPath("minisign")
	if err != nil {
		t.Skip("minisign is not installed: apt-get install minisign")
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), minisign, args...).CombinedOutput(); err != nil {
			t.Fatalf("minisign %v: %v\n%s", args, err, out)
		}
	}
	secret, public := pair(t, dir, "ours")
	text := write(t, filepath.Join(dir, "text"), "text\n", 0o644)
	write(t, text+sign.Suffix, string(signed(t, secret, "text\n")), 0o644)
	run("-V", "-p", public, "-m", text)
	run("-G", "-W", "-p", filepath.Join(dir, "theirs.pub"), "-s", filepath.Join(dir, "theirs"))
	for _, args := range [][]string{{"-S"}, {"-S", "-l"}} { // hashed first, and as before 0.8
		run(append(args, "-s", filepath.Join(dir, "theirs"), "-m", text)...)
		trust, err := sign.ReadTrust(filepath.Join(dir, "theirs.pub"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trust.CheckFile(os.DirFS(dir), "text"); err != nil {
			t.Errorf("minisign %v: %v", args, err)
		}
	}
	run("-S", "-s", secret, "-m", text) // it reads our key
	if _, err := sign.ReadKey(filepath.Join(dir, "theirs"), ""); err != nil {
		t.Errorf("we read its key: %v", err)
	}
}

func FuzzReadTrust(f *testing.F) {
	f.Add([]byte("untrusted comment: minisign public key\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n"), []byte("untrusted comment: x\nRUQ=\ntrusted comment: y\nAAAA\n"))
	f.Add([]byte("RWQ"), []byte("\n\n\n"))
	f.Fuzz(func(t *testing.T, public, signature []byte) {
		file := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(file, public, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = sign.ReadKey(file, "") // it must not panic
		if trust, err := sign.ReadTrust(file); err == nil && trust.Check("x", []byte("x"), signature) == nil {
			t.Fatalf("believed: %q", signature)
		}
	})
}
