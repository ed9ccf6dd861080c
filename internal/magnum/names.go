package magnum

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

// greek are the words Magnum's generated names begin with.
func greek() []string {
	return []string{
		"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
		"nu", "xi", "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
	}
}

// RandomName makes a name for a thing whose creator gave none, as Magnum does: "kappa-11-cluster".
func RandomName(r *rand.Rand, kind string) string {
	words := greek()
	return fmt.Sprintf("%s-%d-%s", words[r.IntN(len(words))], 1+r.IntN(24), kind)
}

const stackLetters = "abcdefghijklmnopqrstuvwxyz0123456789"

// RandomStackID makes a name for a Cluster API Cluster: "kube-" and five letters or digits. The form is fixed, because
// host names in certificates of existing clusters are derived from it (magnum-cluster-api, utils.py).
func RandomStackID(r *rand.Rand) string {
	b := []byte("kube-.....")
	for i := 5; i < len(b); i++ {
		b[i] = stackLetters[r.IntN(len(stackLetters))]
	}
	return string(b)
}

// Count says how many of a thing there are, in a sentence: "1 machine", "3 machines".
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// OneLine is the text of an error, with what was joined side by side.
func OneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// Shorten cuts a text to at most so many bytes. What was cut ends in dots, and never within a character.
func Shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len("...")], "") + "..."
}

var clusterName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.-]{0,241}$`)

// ValidClusterName tells whether a cluster may have this name (Magnum 1.14: a letter, then letters, digits, "_", "." or
// "-", at most 242 characters).
func ValidClusterName(s string) bool { return clusterName.MatchString(s) }
