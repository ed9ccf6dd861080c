#!/bin/sh
# preload.sh KUBERNETES: the tar of images on standard input becomes images of the containerd of this root file system, unpacked,
# so that a node has them when it boots. Runs in the root, in name spaces of its own.
set -eu
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
printf 'version = 3\ndisabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]\n' > /tmp/config.toml
containerd --config /tmp/config.toml > /tmp/containerd.log 2>&1 &
pid=$!
fail() {
	tail -n 20 /tmp/containerd.log >&2
	echo "$1" >&2
	exit 1
}
i=0
until ctr version > /dev/null 2>&1; do
	i=$((i + 1))
	[ $i -lt 300 ] || fail "containerd does not answer"
	kill -0 $pid || fail "containerd has ended"
	sleep 0.1
done
c="ctr -n k8s.io"
# What is unpacked is not kept as an archive as well: a node runs images, it hands none on.
$c images import --local --discard-unpacked-layers - > /tmp/import.log || fail "import images"
while read -r name alias; do
	$c images tag "$name" "$alias" > /dev/null
done < /preload.aliases
for name in $($c images ls -q); do
	case $name in
	sha256:* | *@sha256:*) $c images rm "$name" > /dev/null; continue ;;
	esac
	$c images label "$name" io.cri-containerd.image=managed io.cri-containerd.pinned=pinned > /dev/null
done
$c content prune references > /dev/null
$c images ls -q | sort > /preload.have
kubeadm.real version > /dev/null 2>&1 && kubeadm=kubeadm.real || kubeadm=kubeadm
$kubeadm config images list --kubernetes-version "$1" 2> /dev/null | sort > /preload.want
lacking=$(grep -vxFf /preload.have /preload.want | tr '\n' ' ')
if [ -n "$lacking" ]; then
	echo "kubeadm wants images that the bundle does not have: ${lacking}(an image of the lock can have them as aliases)" >&2
	exit 1
fi
kill $pid
wait $pid || true
