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
		for of, t2 := range map[string]magnum.TemplateFields{"http_proxy": {HTTPProxy: text}, "https_proxy": {HTTPSProxy: text}} {
			if plain, secure, _ := t2.Proxies(); plain+secure != want {
				t.Errorf("%s %q is %q, want %q", of, text, plain+secure, want)
			}
		}
	}
	for text, want := range map[string]string{
		"":                           "",
		"localhost, 127.0.0.1 ,.svc": "localhost,127.0.0.1,.svc",
		"a b":                        "a b",
	} {
		if _, _, got := (&magnum.TemplateFields{NoProxy: text}).Proxies(); got != want {
			t.Errorf("no_proxy %q is %q, want %q", text, got, want)
		}
	}
}
