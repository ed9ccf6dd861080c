package magnum

import (
	"fmt"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Ends says which of the operator's certificates have ended, or end within the time before which ours are renewed:
// those that servers show to load balancers, and the authority that signs them. Nobody but the operator can renew them.
// The time is the place's own, by which they are judged; a place of which it is not known is left out.
func Ends(in intent.Intent, now func(intent.MagnumHost) time.Time, before time.Duration) []plan.Finding {
	m := in.Magnum.Service
	if !m.BackendSSL {
		return nil
	}
	var out []plan.Finding
	for _, h := range in.Magnum.Hosts {
		chain, what, fix := h.Certificate, "the TLS certificate of its server",
			"put a new one with its key where magnum_user_ssl_cert and magnum_user_ssl_key name it, or renew that of the role pki"
		if chain == "" {
			chain, what, fix = m.BackendTLS.Signer, "OpenStack-Ansible's authority, which signs the certificate of its server,",
				"renew it with certificate-authority.yml"
		}
		end, err := pki.End([]byte(chain))
		at := now(h)
		if err != nil || at.IsZero() || at.Add(before).Before(end) {
			continue // what cannot be read, the configuration's own findings tell
		}
		f := plan.Finding{Judge: "certificate", Where: h.Name, Text: fmt.Sprintf("%s ends on %s: %s", what, end.Format(time.DateOnly), fix)}
		if !at.Before(end) {
			f.Text = fmt.Sprintf("%s has ended on %s, and nobody who verifies it believes it: %s", what, end.Format(time.DateOnly), fix)
		}
		out = append(out, f)
	}
	return out
}
