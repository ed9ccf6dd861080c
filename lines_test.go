package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// widest is how long a line of prose may be: what fits beside something else on a screen, and what a review can quote.
const widest = 120

// TestProseIsNarrow reads every page of the project. Tables are as wide as what stands in them, and commands and their
// output are what they are.
func TestProseIsNarrow(t *testing.T) {
	if pages := narrow(t, ".md", wideProse); pages < 50 {
		t.Errorf("%d pages were read: where are the others?", pages)
	}
}

// TestCommentsAreNarrow reads every comment that has lines of its own. Code is not held: a table's row is read as one.
func TestCommentsAreNarrow(t *testing.T) {
	if files := narrow(t, ".go", wideComments); files < 500 {
		t.Errorf("%d files were read: where are the others?", files)
	}
}

// narrow reads every file whose name ends so, but for what is generated, and says how many there were.
func narrow(t *testing.T, ending string, wide func([]byte) map[int]int) (files int) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." &&
			(strings.HasPrefix(name, ".") || name == "testdata" || name == "generated" || name == "bin"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ending) || strings.HasPrefix(name, "zz_generated"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for n, length := range wide(text) {
			t.Errorf("%s:%d: %d characters, and what people read has %d at most", path, n, length, widest)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// wideComments are comments that are too long, by line.
func wideComments(source []byte) map[int]int {
	found, n := map[int]int{}, 0
	for line := range bytes.Lines(source) {
		n++
		text := strings.TrimRight(string(line), "\n")
		length := utf8.RuneCountInString(text)
		comment, is := strings.CutPrefix(strings.TrimLeft(text, "\t"), "// ")
		if is && !strings.HasPrefix(comment, "+") && length > widest { // controller-gen's markers are one line each
			found[n] = length
		}
	}
	return found
}

// wideProse are lines of prose that are too long, by number.
func wideProse(page []byte) map[int]int {
	found, fenced, list := map[int]int{}, false, false
	n := 0
	for line := range bytes.Lines(page) {
		n++
		text := strings.TrimRight(string(line), "\n")
		inner := strings.TrimLeft(text, " ")
		indented := len(text) - len(inner)
		switch {
		case strings.HasPrefix(inner, "```"):
			fenced = !fenced
		case inner != "" && indented == 0:
			list = strings.HasPrefix(inner, "* ") || strings.HasPrefix(inner, "- ") || inner[0] >= '0' && inner[0] <= '9'
		}
		// Four blanks are a command, unless an item of a list goes on there.
		if fenced || strings.HasPrefix(inner, "|") || indented >= 4 && !list {
			continue
		}
		if length := utf8.RuneCountInString(text); length > widest {
			found[n] = length
		}
	}
	return found
}

// TestWideProseIsFound: a test of pages that sees nothing would pass as well.
func TestWideProseIsFound(t *testing.T) {
	long := strings.Repeat("word ", 30)
	for _, c := range []struct {
		page, reason string
		want         int
	}{
		{"a\n" + long + "\n", "a paragraph", 2},
		{"* a\n    " + long + "\n", "an item goes on", 2},
		{"| " + long + "|\n", "a table", 0},
		{"```\n" + long + "\n```\nb\n", "commands", 0},
		{"```\nx\n```\n" + long + "\n", "after commands", 4},
		{"a\n\n    " + long + "\n", "a command that is indented", 0},
		{strings.Repeat("é", widest) + "\n", "characters, not bytes", 0},
	} {
		found := wideProse([]byte(c.page))
		if _, is := found[c.want]; is != (c.want > 0) || len(found) > 1 {
			t.Errorf("%s: found %v, want line %d", c.reason, found, c.want)
		}
	}
}
