#!/usr/bin/env bash
# Fetches clients that are newer than Debian 12's from Debian's sid into bin/clients, once. Nothing is installed:
# they are pure Python, and the tests run them on Debian 12's own Python by PYTHONPATH. apt checks Debian's signatures; its
# lists are kept in bin/clients as well, so that the machine's own stay as they are.
#
#   bin/clients/magnumclient    python-magnumclient
#   bin/clients/sdk             openstacksdk, with the libraries that it needs newer
#   bin/clients/ansible         Ansible's openstack.cloud
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$PWD/bin/clients
[ ! -e "$out/versions" ] || { cat "$out/versions"; exit 0; }
rm -rf "$out"
mkdir -p "$out"/apt/lists/partial "$out"/apt/cache/archives/partial
: >"$out/apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main" >"$out/apt/sources.list"
cat >"$out/apt/apt.conf" <<-END
	Dir::Etc::sourcelist "$out/apt/sources.list";
	Dir::Etc::sourceparts "-";
	Dir::State::lists "$out/apt/lists";
	Dir::State::status "$out/apt/status";
	Dir::Cache "$out/apt/cache";
	APT::Sandbox::User "$(id -un)";
	Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
END
export APT_CONFIG=$out/apt/apt.conf
apt-get update -qq

# unpack DIR PACKAGE... puts the Python modules of packages into bin/clients/DIR.
unpack() {
	local dir=$1 debs deb
	debs=$(mktemp -d)
	(cd "$debs" && apt-get download -qq "${@:2}")
	mkdir -p "$out/$dir"
	for deb in "$debs"/*.deb; do
		dpkg-deb -x "$deb" "$debs/root"
		dpkg-deb -W --showformat "\${Package} \${Version} (sid)\n" "$deb" >>"$out/apt/versions"
	done
	cp -r "$debs"/root/usr/lib/python3/dist-packages/. "$out/$dir/"
	rm -rf "$debs"
}

unpack magnumclient python3-magnumclient
unpack sdk python3-openstacksdk python3-keystoneauth1 python3-os-service-types python3-platformdirs python3-stevedore python3-typing-extensions
unpack all ansible
mkdir -p "$out/ansible/ansible_collections/openstack"
mv "$out/all/ansible_collections/openstack/cloud" "$out/ansible/ansible_collections/openstack/"
rm -rf "$out/all" "$out/apt/lists" "$out/apt/cache"
mv "$out/apt/versions" "$out/versions" # last: a run that was ended begins anew
cat "$out/versions"
