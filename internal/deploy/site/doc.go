// Package site is where a deployment works: places, which are physical hosts and containers of them, and the agents
// that look and act there. It knows nothing of how anything is deployed; what a bundle has for it (Bundle) is here,
// because every room reads it.
//
// A List says what places should have, Seen how that is, and a Work brings about what a plan has of it. The packages
// beside it, one a subject, make the lists; internal/deploy plans, judges and walks.
package site
