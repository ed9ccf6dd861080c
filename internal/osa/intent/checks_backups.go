package intent

import (
	"fmt"
	"io"
	"path"
	"strings"

	"filippo.io/age"
)

// checkBackups looks at who makes backups, and whether they can be encrypted.
func (r *reader) checkBackups() {
	b := r.in.Backups
	for i, name := range b.Nodes {
		known := false
		for _, n := range r.in.Nodes {
			known = known || n.Name == name
		}
		if !known {
			r.fail("backup-node", r.at(fmt.Sprintf("backups.nodes[%d]", i)), "name members of the group k8s_all", "cluster_api_backups_nodes names %s, which is not a node", r.show(fmt.Sprintf("backups.nodes[%d]", i), name))
		}
	}
	if !b.Enabled {
		return
	}
	if len(b.Recipients) == 0 && !r.lost("backups.recipients") {
		r.fail("backup-recipients", r.at("backups.enabled"), "make a key (jeroboam deploy backup key) and put its public half into cluster_api_backups_recipients",
			"backups are enabled without a key to encrypt them for: they hold the authorities' keys and every cluster's credentials")
	}
	r.checkRecipients()
	r.checkCopies()
	if b.Keep < 1 && !r.lost("backups.keep") {
		r.fail("backup-keep", r.at("backups.keep"), "set cluster_api_backups_keep to 1 or more", "cluster_api_backups_keep would keep no backup")
	}
	if !path.IsAbs(b.Path) || path.Clean(b.Path) == "/" {
		r.fail("backup-path", r.at("backups.path"), "set an absolute path, such as /var/backup/cluster-api-backup", "cluster_api_backups_path is not the path of a directory: %s", r.show("backups.path", b.Path))
	}
	for field, name := range map[string]string{"group": "cluster_api_backups_group_name", "gid": "cluster_api_backups_group_gid", "initOverrides": "cluster_api_backups_init_overrides"} {
		if _, ok := r.first().written(name); ok {
			r.note("backup-ignored", r.at("backups."+field), "remove it", "%s has no effect here: backups belong to root alone", name)
		}
	}
}

// checkRecipients never shows a key: it may be the secret half.
func (r *reader) checkRecipients() {
	var good []age.Recipient
	for i, key := range r.in.Backups.Recipients {
		pos := r.at(fmt.Sprintf("backups.recipients[%d]", i))
		if strings.Contains(strings.ToUpper(key), "AGE-SECRET-KEY-") {
			r.fail("backup-recipients", pos, "put a public key there (age1...), and make a new key pair: this one is exposed",
				"entry %d of cluster_api_backups_recipients is a secret key", i+1)
			continue
		}
		one, err := age.ParseRecipients(strings.NewReader(key))
		if err != nil || len(one) != 1 {
			r.fail("backup-recipients", pos, "put a public key of age there (age1...; jeroboam deploy backup key makes one)", "entry %d of cluster_api_backups_recipients is not a public key", i+1)
			continue
		}
		good = append(good, one...)
	}
	if len(good) == 0 {
		return
	}
	if _, err := age.Encrypt(io.Discard, good...); err != nil {
		r.fail("backup-recipients", r.at("backups.recipients"), "use keys of one kind", "a backup cannot be encrypted for all of cluster_api_backups_recipients: some keys are post-quantum and some are not")
	}
}
