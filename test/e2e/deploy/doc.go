// Package deploy proves "jeroboam deploy" on the hosts of the lab: it is driven as an operator drives it, by the real
// binary over SSH. "make e2e-deploy" runs it; test/lab has to be up and a bundle built.
package deploy
