// Package label knows the Magnum labels that Jeroboam understands: what each is called, which values it takes, what it
// means when it is absent and where it acts.
//
// A label is text that a tenant wrote. Most of it ends up in YAML that becomes a machine's first boot or a command line
// of the control plane, so every type here has a character set in which no newline, quote, template or YAML mark can be
// written, and Validate reports everything that is outside it. Whoever reads a label reads it through Values, which
// falls back to the registry's default and never hands out a value that Validate would refuse.
//
// Names, defaults and even accidents (audit_log_max_age) are those of magnum-cluster-api, because a cluster
// that moves over must not change its meaning. docs/labels.md is generated from Registry.
package label
