package magnum

import "strings"

// Proxies are the HTTP proxies of machines and the hosts that are reached without them, as every program reads them.
// Clients write them in more ways: a proxy without a scheme is http, and blanks around commas are nothing, to Go's
// programs (containerd, kubelet), but not to apt and systemd. Terraform's tests give them so.
func (t *TemplateFields) Proxies() (http, https, except string) {
	items := strings.Split(t.NoProxy, ",")
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
	}
	return proxyURL(t.HTTPProxy), proxyURL(t.HTTPSProxy), strings.Join(items, ",")
}

func proxyURL(text string) string {
	if text == "" || strings.Contains(text, "://") {
		return text
	}
	return "http://" + text
}
