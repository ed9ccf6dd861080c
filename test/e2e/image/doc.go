// Package image boots an image of nodes as a machine does, in qemu without hardware's help: slow, and told nothing of
// what the image is made of. make e2e-image runs it.
package image
