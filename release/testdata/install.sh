# Installs a package in a copy of this machine's own Debian that ends with this process: a layer over the root file system.
set -eu
deb=$1 at=$2
mount --make-rprivate /
mount -t tmpfs tmpfs "$at"
mkdir "$at/upper" "$at/work" "$at/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$at/upper,workdir=$at/work" "$at/root"
mount -t proc proc "$at/root/proc"
cp "$deb" "$at/root/package.deb"
inside() { chroot "$at/root" "$@"; }
inside dpkg --install /package.deb
inside jeroboam version
inside getent passwd jeroboam-proxy
inside systemd-analyze verify --man=no jeroboam-proxy@a.service jeroboam-proxy-access.service \
	jeroboam-deploy-status.service jeroboam-deploy-status.timer
inside dpkg --verify jeroboam
inside dpkg --purge jeroboam
inside test ! -e /usr/bin/jeroboam
