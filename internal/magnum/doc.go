// Package magnum holds the words of the service: clusters, node groups, cluster templates, quotas, their states and
// the errors a client is told. Names and rules are OpenStack Magnum's (API microversions 1.1 to 1.14); nothing here
// touches a network or knows how a record is stored.
//
// A value of these types is a snapshot: whoever gets one from a store must not change it, and whoever wants a change
// asks the store with a function. That is what lets one snapshot serve any number of readers without copying.
package magnum
