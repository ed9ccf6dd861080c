// Package publisher tells whose a release is, by the signature that its publisher has made.
//
// A digest from the place where a file is published says that the file has arrived whole. Whoever can change files
// there changes the digest too, but has no key of the publisher's. Two kinds of signatures are known here:
//
//   - OpenPGP's clear-signed lists of sums (RFC 9580), as runc has one, against the publisher's keyring.
//   - sigstore's keyless ones (Kubernetes' programs and images): the authority Fulcio gives out certificates
//     of ten minutes to whoever proves an identity, and the key is thrown away after one signature. So no key is
//     trusted, but an identity, and who vouches for it.
//
// Of sigstore's signatures this asks whether the authority is one of the trusted root's, whether the identity is the
// expected one, and whether the key of the certificate has signed the digest. It does not ask the transparency log:
// that a signature was made within those ten minutes rests on the key having been thrown away.
package publisher
