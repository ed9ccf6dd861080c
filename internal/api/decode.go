package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// body reads the request's JSON. arg is what Magnum calls the body in its messages.
func (s *server) body(c *call, arg string) (any, error) {
	// Whoever sends a body slower than the request may take is cut off. Not every ResponseWriter can do it; a server's
	// can.
	if deadline, ok := c.r.Context().Deadline(); ok {
		_ = http.NewResponseController(c.w).SetReadDeadline(deadline)
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, s.Config.MaxBodyBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return parseBody(data, arg)
	case errors.As(err, &tooLarge):
		return nil, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, magnum.Refuse(http.StatusRequestTimeout, "The request's body did not come in time.")
	}
	return nil, fmt.Errorf("%w (%w)", magnum.Invalid("The request's body could not be read to its end."), err)
}

func parseBody(data []byte, arg string) (any, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, magnum.Invalid("Missing argument: %q", arg)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, magnum.Invalid("Request is not in valid JSON format")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, magnum.Invalid("Request is not in valid JSON format")
	}
	return v, nil
}

// fields reads the request's body as an object.
func (s *server) fields(c *call, arg string) (*fields, error) {
	v, err := s.body(c, arg)
	if err != nil {
		return nil, err
	}
	values, ok := v.(map[string]any)
	if !ok {
		return nil, magnum.Invalid("Invalid input for argument %s. An object is expected.", arg)
	}
	return &fields{arg: arg, values: values, seen: map[string]bool{}, maxLabels: s.Config.MaxLabels}, nil
}

// fields are the attributes of a body. Each method reads one attribute and notes what is wrong with it; done tells
// everything that was wrong. Numbers and booleans may be strings (Magnum 1.14: magnum-ui sends every value as one)
// unless strict, which is how patched objects are read. null is like absent.
type fields struct {
	arg       string
	values    map[string]any
	seen      map[string]bool
	problems  []string
	strict    bool
	maxLabels int
}

func (f *fields) take(name string) (any, bool) {
	f.seen[name] = true
	v, ok := f.values[name]
	return v, ok && v != nil
}

func (f *fields) wrong(name string, v any, why string) {
	f.problems = append(f.problems, invalidInput(name, v, why).Detail)
}

func invalidInput(name string, v any, why string) *magnum.Error {
	return magnum.Invalid("Invalid input for field/attribute %s. Value: '%s'. %s", name, magnum.Shorten(asSent(v), 100), why)
}

// asSent is a value as the client wrote it: JSON, a text without its quotes, and Python's None for what is missing.
func asSent(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case string:
		return v
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v) // nothing that was decoded from JSON comes here
	}
	return strings.TrimSpace(out.String())
}

// text reads a string of min to max characters.
func (f *fields) text(name string, least, most int) (string, bool) {
	v, ok := f.take(name)
	if !ok {
		return "", false
	}
	s, ok := v.(string)
	switch n := utf8.RuneCountInString(s); {
	case !ok:
		f.wrong(name, v, "Wrong type. A string is expected.")
	case n < least:
		f.wrong(name, v, fmt.Sprintf("Value should have a minimum character requirement of %d", least))
	case n > most:
		f.wrong(name, v, fmt.Sprintf("Value should have a maximum character requirement of %d", most))
	default:
		return s, true
	}
	return "", false
}

// name is the usual string: 1 to 255 characters.
func (f *fields) name(name string) (string, bool) { return f.text(name, 1, 255) }

func (f *fields) matching(name string, least, most int, pattern *regexp.Regexp) (string, bool) {
	s, ok := f.text(name, least, most)
	if ok && !pattern.MatchString(s) {
		f.wrong(name, s, "Value should match the pattern "+pattern.String())
		return "", false
	}
	return s, ok
}

func (f *fields) enum(name string, values ...string) (string, bool) {
	v, ok := f.take(name)
	if !ok {
		return "", false
	}
	s, ok := v.(string)
	if !ok || !slices.Contains(values, s) {
		f.wrong(name, v, "Value should be one of: "+strings.Join(values, ", "))
		return "", false
	}
	return s, true
}

// integer reads a number between least and most.
func (f *fields) integer(name string, least, most int) (int, bool) {
	v, ok := f.take(name)
	if !ok {
		return 0, false
	}
	n, ok := toInteger(v, f.strict)
	switch {
	case !ok:
		f.wrong(name, v, "Wrong type. An integer is expected.")
	case n < int64(least):
		f.wrong(name, v, fmt.Sprintf("Value should be greater or equal to %d", least))
	case n > int64(most):
		f.wrong(name, v, fmt.Sprintf("Value should be lower or equal to %d", most))
	default:
		return int(n), true
	}
	return 0, false
}

// toInteger is Python's int(): text is parsed, fractions are cut, True is 1. Strictly, only whole numbers and booleans
// count.
func toInteger(v any, strict bool) (int64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n, true
		}
		x, err := v.Float64()
		if err != nil || strict || math.Abs(x) > 1<<53 {
			return 0, false
		}
		return int64(x), true
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		return n, err == nil && !strict
	}
	return 0, false
}

// boolean reads a truth value in any of oslo's spellings.
func (f *fields) boolean(name string) (value, ok bool) {
	v, ok := f.take(name)
	if !ok {
		return false, false
	}
	value, ok = toBoolean(v)
	if !ok {
		f.wrong(name, v, "Unrecognized value, acceptable values are: '0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'")
	}
	return value, ok
}

func toBoolean(v any) (value, ok bool) {
	if b, ok := v.(bool); ok {
		return b, true
	}
	switch strings.ToLower(strings.TrimSpace(fmt.Sprint(v))) {
	case "1", "t", "true", "on", "y", "yes":
		return true, true
	case "0", "f", "false", "off", "n", "no":
		return false, true
	}
	return false, false
}

// labels reads a dictionary of plain values, which become the strings that Python would make of them.
func (f *fields) labels(name string) (map[string]string, bool) {
	v, ok := f.take(name)
	if !ok {
		return nil, false
	}
	labels, problem := toLabels(v, f.maxLabels)
	if problem != "" {
		f.wrong(name, v, problem)
		return nil, false
	}
	return labels, true
}

const (
	maxLabelKey  = 255
	maxLabelText = 64 << 10
)

func toLabels(v any, most int) (labels map[string]string, problem string) {
	dict, ok := v.(map[string]any)
	if !ok {
		return nil, "Wrong type. A dictionary is expected."
	}
	if len(dict) > most {
		return nil, fmt.Sprintf("There may be at most %d entries, not %d.", most, len(dict))
	}
	labels, total := make(map[string]string, len(dict)), 0
	for k, v := range dict {
		text, ok := pythonText(v)
		if !ok {
			return nil, fmt.Sprintf("The value of %q must be a string, a number or a boolean.", magnum.Shorten(k, 100))
		}
		if k == "" || len(k) > maxLabelKey {
			return nil, fmt.Sprintf("A key must have 1 to %d characters.", maxLabelKey)
		}
		labels[k] = text
		total += len(k) + len(text)
	}
	if total > maxLabelText {
		return nil, fmt.Sprintf("All keys and values together may have at most %d bytes, not %d.", maxLabelText, total)
	}
	return labels, ""
}

func (f *fields) texts(name string, most int) []string {
	v, ok := f.take(name)
	if !ok {
		return nil
	}
	items, ok := v.([]any)
	out := make([]string, 0, len(items))
	for _, item := range items {
		s, isText := item.(string)
		ok = ok && isText && s != "" && len(s) <= 255
		out = append(out, s)
	}
	if !ok || len(out) > most {
		f.wrong(name, v, fmt.Sprintf("A list of at most %d strings is expected.", most))
		return nil
	}
	return out
}

// readOnly refuses attributes that only the service sets.
func (f *fields) readOnly(names ...string) {
	for _, name := range names {
		f.seen[name] = true
		if v, ok := f.values[name]; ok {
			f.wrong(name, v, "Cannot set read only field.")
		}
	}
}

// ignore accepts attributes that mean nothing on the way in.
func (f *fields) ignore(names ...string) {
	for _, name := range names {
		f.seen[name] = true
	}
}

func (f *fields) mandatory(name string) { f.wrong(name, "None", "Mandatory field missing.") }

// done returns all problems as one refusal.
func (f *fields) done() error {
	var unknown []string
	for name := range f.values {
		if !f.seen[name] {
			unknown = append(unknown, magnum.Shorten(name, 100))
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return magnum.Invalid("Unknown attribute for argument %s: %s", f.arg, strings.Join(unknown[:min(len(unknown), 20)], ", "))
	}
	if len(f.problems) > 0 {
		return magnum.Invalid("%s", sentences(f.problems[:min(len(f.problems), 20)]))
	}
	return nil
}

// sentences puts problems one after the other. A single one stays as it is: Magnum's own sentences have no dot at their
// end.
func sentences(problems []string) string {
	if len(problems) == 1 {
		return problems[0]
	}
	var out strings.Builder
	for i, p := range problems {
		if i > 0 {
			out.WriteByte(' ')
		}
		out.WriteString(strings.TrimSuffix(p, "."))
		out.WriteByte('.')
	}
	return out.String()
}
