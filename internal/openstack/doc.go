// Package openstack is Jeroboam's one road to an OpenStack cloud. Everything it says to Keystone, Nova, Glance, Neutron
// and Octavia goes through gophercloud and is said in whose name:
//
//   - [Validator] answers "who sent this token?" for every API request. It is keystonemiddleware's job: the service
//     user asks Keystone, and a bounded cache answers most of the time, also while Keystone is down.
//   - [User] works with the token of the request: what a tenant may not see, validation may not see either.
//   - [Project] works with the application credential of one cluster, long after the token is gone.
//   - [Admin] works as the service user, for the one thing nobody else can do: removing the credential of somebody
//     else.
//
// [Cloud] makes all four from the settings an operator already has in magnum.conf. Callers declare the few methods they
// use as an interface of their own. Failures are one of a handful of sentinel errors ([ErrNotFound], [ErrAmbiguous],
// ...), so that the API and the reconcilers decide by errors.Is. Tokens, passwords and secrets never appear in an error
// or in a printed value.
package openstack
