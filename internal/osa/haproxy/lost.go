package haproxy

import (
	"slices"
	"strings"
)

// Alert are services as Alerted has them: what a deployment writes.
func Alert(services []Service) []Service {
	out := make([]Service, len(services))
	for i, s := range services {
		out[i] = Alerted(s)
	}
	return out
}

// Alerted is a service whose servers are given up as soon as one connection to them fails, and not when checks have
// noticed: with the role's defaults that takes 36 seconds, in which new connections wait for a host that has lost its
// power. Open connections to such a server end, so that clients come again; it is asked every two seconds whether it is
// back. What the operator's options say of any of this is left as it is, and a server without another one beside it is
// not given up.
//
// Words and times are those of haproxy 2.6's manual (5.2, "Server and default-server options"). Two seconds to connect
// are enough for one lost packet, which the kernel sends again after one.
func Alerted(s Service) Service {
	n := 0
	for _, server := range s.Servers {
		if !server.Backup {
			n++
		}
	}
	if n < 2 {
		return s
	}
	has := func(words []string, one string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(strings.Fields(w), one) })
	}
	options := slices.Clone(s.ServerOptions)
	if !has(options, "observe") && !has(options, "on-error") && !has(options, "error-limit") {
		options = append(options, "observe layer4", "error-limit 1", "on-error mark-down")
	}
	for _, o := range []string{"on-marked-down shutdown-sessions", "fastinter 1000", "downinter 2000"} {
		if word, _, _ := strings.Cut(o, " "); !has(options, word) {
			options = append(options, o)
		}
	}
	s.ServerOptions = options
	if !slices.ContainsFunc(s.BackendArguments, func(a string) bool { return strings.HasPrefix(strings.TrimSpace(a), "timeout connect") }) {
		s.BackendArguments = append(slices.Clone(s.BackendArguments), "timeout connect 2s")
	}
	if !has(s.BackendOptions, "redispatch") {
		s.BackendOptions = append(slices.Clone(s.BackendOptions), "redispatch 1")
	}
	return s
}
