package pki

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// End is when the first certificate of a chain ends: nobody who verifies it believes what it leads to from then on.
func End(chain []byte) (time.Time, error) {
	var end time.Time
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return end, fmt.Errorf("read a certificate: %w", err)
		}
		if end.IsZero() || c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	if end.IsZero() {
		return end, errors.New("there is no certificate in PEM")
	}
	return end, nil
}
