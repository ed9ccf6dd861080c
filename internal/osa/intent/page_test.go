package intent_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryFindingIsOnItsPage: who is told of a finding looks its code up in docs/deploy-config.md.
func TestEveryFindingIsOnItsPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/deploy-config.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`\b(?:(?:fail|warn|note|tell)\(|add\(osa\.[A-Z][a-z]+, |settings\(.*, )"([a-z0-9]+(?:-[a-z0-9]+)*)"`)
	codes := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range code.FindAllSubmatch(text, -1) {
			codes[string(found[1])] = true
		}
	}
	if len(codes) < 70 {
		t.Errorf("only %d codes were found: how are the others given?", len(codes))
	}
	for code := range codes {
		if !strings.Contains(string(page), "`"+code+"`") {
			t.Errorf("docs/deploy-config.md has nothing about the finding %s", code)
		}
	}
}
