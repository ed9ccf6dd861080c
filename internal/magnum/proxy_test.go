package magnum_test

import (
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// TestProxies: clients write them in more ways than apt and systemd read.
func TestProxies(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "",
		"127.0.0.1:8801":        "http://127.0.0.1:8801",
		"http://p:3128":         "http://p:3128",
		"https://u:p%40ss@p:1/": "https://u:p%40ss@p:1/",
	} {
		if got := magnum.ProxyURL(text); got != want {
			t.Errorf("ProxyURL(%q) is %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"":                           "",
		"localhost, 127.0.0.1 ,.svc": "localhost,127.0.0.1,.svc",
		"a b":                        "a b",
	} {
		if got := magnum.ProxyExceptions(text); got != want {
			t.Errorf("ProxyExceptions(%q) is %q, want %q", text, got, want)
		}
	}
}
