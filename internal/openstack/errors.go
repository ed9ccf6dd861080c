package openstack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// What can go wrong, as far as a caller decides by it.
var (
	// ErrUnauthorized: the token is missing, expired, revoked or was never one (HTTP 401).
	ErrUnauthorized = errors.New("not authorized")
	// ErrForbidden: the cloud knows who asks and says no.
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound: there is no such thing, or the asker may not see it.
	ErrNotFound = errors.New("not found")
	// ErrAmbiguous: the name fits more than one thing.
	ErrAmbiguous = errors.New("more than one has this name, please use the id")
	// ErrConflict: the cloud refuses because of what is there already.
	ErrConflict = errors.New("conflict")
	// ErrRejected: the cloud does not accept the request as it is.
	ErrRejected = errors.New("rejected")
	// ErrUnavailable: nobody could be asked; the same question may be answered later (HTTP 503).
	ErrUnavailable = errors.New("unavailable")
)

const maxDetail = 300

// explain turns gophercloud's errors, which print whole URLs and bodies, into ours: what was being done, which kind of
// failure, and the service's own words without the given secrets.
func explain(doing string, err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{
		ErrUnauthorized, ErrForbidden, ErrNotFound, ErrAmbiguous, ErrConflict, ErrRejected, ErrUnavailable, context.Canceled,
	} {
		if errors.Is(err, known) {
			return fmt.Errorf("%s: %w", doing, plain(err))
		}
	}
	var reauth *gophercloud.ErrUnableToReauthenticate
	if errors.As(err, &reauth) {
		return fmt.Errorf("%s: log in again: %w", doing, loginFailure(reauth.ErrReauth))
	}
	var code gophercloud.ErrUnexpectedResponseCode
	if errors.As(err, &code) {
		kind := kindOf(code.Actual)
		if words := scrub(message(code.Body), secrets); words != "" {
			return fmt.Errorf("%s: %w: %s", doing, kind, words)
		}
		return fmt.Errorf("%s: %w (HTTP %d)", doing, kind, code.Actual)
	}
	return fmt.Errorf("%s: %w: %s", doing, ErrUnavailable, scrub(plain(err).Error(), secrets))
}

// loginFailure judges a failed login of our own: whatever Keystone said, the fault is not the user's.
func loginFailure(err error) error {
	var code gophercloud.ErrUnexpectedResponseCode
	if errors.As(err, &code) {
		return fmt.Errorf("%w (HTTP %d)", ErrUnavailable, code.Actual)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, plain(err))
}

// plain cuts the URL from net/http's errors: its query may name a tenant's things.
func plain(err error) error {
	var urlError *url.Error
	if errors.As(err, &urlError) {
		return urlError.Err
	}
	return err
}

func kindOf(status int) error {
	switch status {
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound, http.StatusGone:
		return ErrNotFound
	case http.StatusConflict:
		return ErrConflict
	case http.StatusTooManyRequests, http.StatusRequestEntityTooLarge: // Nova says 413 for "slow down".
		return ErrUnavailable
	}
	if status >= http.StatusInternalServerError {
		return ErrUnavailable
	}
	return ErrRejected
}

// message finds the sentence for people in an error body. Every service wraps it in its own way:
// {"error":{"message"}}, {"forbidden":{"message"}}, {"NeutronError":{"message"}}, {"faultstring"}, {"message"}.
func message(body []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return ""
	}
	for _, name := range []string{"faultstring", "message"} {
		var text string
		if json.Unmarshal(fields[name], &text) == nil && text != "" {
			return text
		}
	}
	for _, raw := range fields {
		var inner struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(raw, &inner) == nil && inner.Message != "" {
			return inner.Message
		}
	}
	return ""
}

// fromKeystone tells Keystone's own refusal from a page that some proxy on the way wrote: only the former says anything
// about a token or a credential.
func fromKeystone(code gophercloud.ErrUnexpectedResponseCode) bool {
	var body struct {
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	return json.Unmarshal(code.Body, &body) == nil && body.Error.Code == code.Actual
}

func scrub(text string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxDetail {
		text = strings.ToValidUTF8(text[:maxDetail], "") + "..."
	}
	return text
}
