// Package faults breaks a running Jeroboam and looks at what is left: processes are killed at random moments, the
// management cluster's API server and Keystone go away, the disk is full, clients send too much. "make e2e" runs it.
//
// Three things are always asked. Does everything that was accepted reach its end? Is nothing doubled? Is nothing left
// behind after a deletion? How long it takes is logged and never asserted: every wait has a bound that a loaded machine
// keeps.
//
// Random moments follow from a seed that is printed; -seed repeats them. -clusters says how many clusters are made at
// once.
package faults
