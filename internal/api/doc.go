// Package api serves OpenStack Magnum's REST API, microversions 1.1 to 1.14, to the clients people already have.
//
// routes.go is the whole surface on one screen. A handler has one rhythm: who is it and may they (policy.Grant), what
// do they say (strict decoding), does it make sense (magnum and label rules, the caller's own cloud), do it (a store),
// say so (respond.go). Lists come from memory; nothing here polls, caches or remembers. What the API needs of others
// stands in ports.go as small interfaces, which tests fill with maps and the command line with the real ones.
package api
