package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/manifests"
)

// debian packs a program for Debian and Ubuntu. Units are installed and not enabled: what they need is for an operator
// to say.
func (r *release) debian(_ context.Context, program, arch string) (err error) {
	contents, err := r.contents(program, arch)
	if err != nil {
		return err
	}
	info := &nfpm.Info{
		Name: program, Arch: arch, Platform: "linux", Version: r.debianVersion(), VersionSchema: "none", MTime: r.commit.time,
		Section: "admin", Priority: "optional", Maintainer: "The Jeroboam project <jeroboam@jeroboam.cloud>",
		Homepage: "https://github.com/jeroboam-cloud/jeroboam", License: "Apache-2.0", Description: about(program), DisableGlobbing: true,
		Overridables: nfpm.Overridables{Contents: contents, Umask: 0o022, Deb: nfpm.Deb{Compression: "gzip"}},
	}
	if program == "jeroboam" {
		info.Scripts.PostInstall = r.work("postinst")
		if err := os.WriteFile(info.Scripts.PostInstall, []byte(afterInstall), 0o755); err != nil {
			return err
		}
	}
	if err := nfpm.PrepareForPackager(info, "deb"); err != nil {
		return fmt.Errorf("prepare the package: %w", err)
	}
	f, err := os.Create(r.name(program, arch, ".deb"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return deb.Default.Package(info, f)
}

// afterInstall makes the users of the units. Where there is no systemd, in an image, nobody starts a unit.
const afterInstall = `#!/bin/sh
set -e
if [ "$1" = configure ] && [ -x /usr/bin/systemd-sysusers ]; then
	systemd-sysusers jeroboam.conf
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
`

// users are whom the shipped units run as.
const users = `u jeroboam-proxy - "Jeroboam proxy" - -
`

// debianVersion sorts before the version that it is a step to.
func (r *release) debianVersion() string { return strings.ReplaceAll(r.commit.version, "-", "~") }

func about(program string) string {
	if program == "jeroboam-allinone" {
		return "whole cloud service of Jeroboam on one machine, to try and to test it\n" +
			" etcd, Kubernetes' API server, Cluster API, a simulated OpenStack and Jeroboam in one process."
	}
	return "Kubernetes clusters as a service on OpenStack\n" +
		" Serves the Magnum API, drives Cluster API, deploys the management cluster\n and reaches private clusters through Neutron's namespaces. One static program."
}

// contents are the files of a package.
func (r *release) contents(program, arch string) (files.Contents, error) {
	all := files.Contents{
		file(r.binary(program, arch), "/usr/bin/"+program, 0o755),
		file(filepath.Join(r.root, "LICENSE"), "/usr/share/doc/"+program+"/copyright", 0o644),
	}
	if program != "jeroboam" {
		return all, nil
	}
	for name, text := range map[string]string{
		"jeroboam-proxy@.service": manifests.Unit, "jeroboam-proxy-access.service": manifests.AccessUnit,
	} {
		// A package's programs are in /usr/bin; /usr/local is the administrator's.
		if err := os.WriteFile(r.work(name), []byte(strings.ReplaceAll(text, "/usr/local/bin/", "/usr/bin/")), 0o644); err != nil {
			return nil, err
		}
		all = append(all, file(r.work(name), "/usr/lib/systemd/system/"+name, 0o644))
	}
	if err := os.WriteFile(r.work("sysusers"), []byte(users), 0o644); err != nil {
		return nil, err
	}
	docs := filepath.Join(r.root, "docs")
	for _, unit := range []string{"jeroboam-deploy-status.service", "jeroboam-deploy-status.timer"} {
		all = append(all, file(filepath.Join(docs, "systemd", unit), "/usr/lib/systemd/system/"+unit, 0o644))
	}
	for _, name := range []string{"alerts/jeroboam.rules.yaml", "alerts/deploy.rules.yaml", "dashboards/jeroboam.json"} {
		all = append(all, file(filepath.Join(docs, name), "/usr/share/doc/jeroboam/"+name, 0o644))
	}
	return append(all,
		file(r.work("sysusers"), "/usr/lib/sysusers.d/jeroboam.conf", 0o644),
		file(r.work("jeroboam.1.gz"), "/usr/share/man/man1/jeroboam.1.gz", 0o644),
		file(r.work("completion.bash"), "/usr/share/bash-completion/completions/jeroboam", 0o644),
		file(r.work("completion.zsh"), "/usr/share/zsh/vendor-completions/_jeroboam", 0o644),
		file(r.work("completion.fish"), "/usr/share/fish/vendor_completions.d/jeroboam.fish", 0o644),
	), nil
}

func file(source, destination string, mode os.FileMode) *files.Content {
	return &files.Content{Source: source, Destination: destination, FileInfo: &files.ContentFileInfo{Mode: mode, Owner: "root", Group: "root"}}
}
