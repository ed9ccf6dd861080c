package api

import (
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// chooseLabels decides what labels a thing has (Magnum A9): none given means its parent's, given ones replace the
// parent's, and only merging keeps both.
func chooseLabels(parent, given map[string]string, merge bool) map[string]string {
	out := map[string]string{}
	if len(given) == 0 || merge {
		maps.Copy(out, parent)
	}
	maps.Copy(out, given)
	return out
}

// checkLabels returns everything that is wrong with labels as one refusal.
func (s *server) checkLabels(scope label.Scope, labels map[string]string) error {
	return newProblems(nil, told(s.Labels(scope, labels)))
}

// checkNewLabels is the same for a change of labels: what was wrong before stays, and keeps nobody from changing
// something else.
func (s *server) checkNewLabels(scope label.Scope, before, labels map[string]string) error {
	return newProblems(told(s.Labels(scope, before)), told(s.Labels(scope, labels)))
}

// told makes a sentence of each error.
func told(problems []error) []string {
	out := make([]string, 0, len(problems))
	for _, p := range problems {
		out = append(out, capitalized(p.Error()))
	}
	return out
}

// capitalized makes a sentence of the text of an error.
func capitalized(text string) string {
	first, n := utf8.DecodeRuneInString(text)
	return strings.TrimSuffix(string(unicode.ToUpper(first))+text[n:], ".") + "."
}

// labelDiff writes how labels differ from the parent's. "overridden" shows the parent's value (Magnum 1.14).
func (o *object) labelDiff(parent, labels map[string]string) {
	overridden, added, skipped := map[string]string{}, map[string]string{}, map[string]string{}
	for k, v := range labels {
		was, ok := parent[k]
		switch {
		case !ok:
			added[k] = v
		case was != v:
			overridden[k] = was
		}
	}
	for k, v := range parent {
		if _, ok := labels[k]; !ok {
			skipped[k] = v
		}
	}
	o.dict("labels_overridden", overridden)
	o.dict("labels_added", added)
	o.dict("labels_skipped", skipped)
}
