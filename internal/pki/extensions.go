package pki

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/bits"
)

// The extensions a request may have (Magnum 1.14: [x509] allowed_extensions), and those of NewClient.
var (
	oidSubjectKeyID     = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidClientAuth       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
)

// keyUsage is the bit string of RFC 5280, section 4.2.1.3, first bit lowest.
type keyUsage uint16

const (
	usageDigitalSignature keyUsage = 1 << iota
	usageContentCommitment
	usageKeyEncipherment

	// usageAllowed are the usages a request may have (Magnum 1.14: [x509] allowed_key_usage).
	usageAllowed = usageDigitalSignature | usageContentCommitment | usageKeyEncipherment
)

// filter gives the extensions of a request that go into the certificate. What is not allowed is left out, or refused if
// the request says it is critical: the sender insists, and would get a certificate that does something else. Key usage
// and basic constraints are cut down to what is allowed by the same rule. (Magnum 1.14: common/x509/validator.py.)
//
// Basic constraints are not among the result: the certificate has its own, CA:FALSE, whether asked for or not.
func filter(requested []pkix.Extension) ([]pkix.Extension, error) {
	var kept []pkix.Extension
	seen := make(map[string]bool)
	for _, e := range requested {
		if seen[e.Id.String()] {
			return nil, refuse("has extension %s twice", e.Id)
		}
		seen[e.Id.String()] = true
		keep, err := filterOne(&e)
		if err != nil {
			return nil, err
		}
		if keep {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// filterOne decides about one extension, and may cut it down.
func filterOne(e *pkix.Extension) (keep bool, err error) {
	switch {
	case e.Id.Equal(oidKeyUsage):
		return cutKeyUsage(e)
	case e.Id.Equal(oidBasicConstraints):
		return false, checkBasicConstraints(e)
	case e.Id.Equal(oidExtKeyUsage):
		var usages []asn1.ObjectIdentifier
		if err := unmarshal(e.Value, &usages); err != nil || len(usages) == 0 {
			return false, refuse("has an extended key usage that cannot be read")
		}
		return true, nil
	case e.Id.Equal(oidSubjectKeyID):
		var id []byte
		if err := unmarshal(e.Value, &id); err != nil || len(id) == 0 {
			return false, refuse("has a subject key identifier that cannot be read")
		}
		return true, nil
	case e.Id.Equal(oidSubjectAltName):
		return true, nil // x509.ParseCertificateRequest has read it
	case e.Critical:
		return false, refuse("has the critical extension %s, which is not allowed", e.Id)
	default:
		return false, nil
	}
}

func cutKeyUsage(e *pkix.Extension) (keep bool, err error) {
	var b asn1.BitString
	if err := unmarshal(e.Value, &b); err != nil {
		return false, refuse("has a key usage that cannot be read")
	}
	var (
		usage keyUsage
		other bool
	)
	for i := range b.BitLength {
		switch {
		case b.At(i) == 0:
		case i < bits.Len16(uint16(usageAllowed)):
			usage |= 1 << i
		default:
			other = true
		}
	}
	if other && e.Critical {
		return false, refuse("has a key usage other than digital signature, key encipherment and content commitment")
	}
	if usage == 0 {
		return false, nil // RFC 5280: a key usage has at least one bit; without any the extension says nothing
	}
	e.Value, err = marshalKeyUsage(usage)
	return true, err
}

func marshalKeyUsage(usage keyUsage) ([]byte, error) {
	return asn1.Marshal(asn1.BitString{
		Bytes:     []byte{bits.Reverse8(uint8(usage))},
		BitLength: bits.Len16(uint16(usage)),
	})
}

func checkBasicConstraints(e *pkix.Extension) error {
	var c struct {
		IsCA       bool `asn1:"optional"`
		MaxPathLen int  `asn1:"optional,default:-1"`
	}
	if err := unmarshal(e.Value, &c); err != nil {
		return refuse("has basic constraints that cannot be read")
	}
	if c.IsCA && e.Critical {
		return refuse("asks for the certificate of an authority (critical basic constraints CA:TRUE)")
	}
	return nil
}
