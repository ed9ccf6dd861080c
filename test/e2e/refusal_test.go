package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// What cannot work is refused while the client waits, with Magnum's status and with words that say what to do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	all := shared(t)
	user := all.as(t, "demo")
	good := user.template(t, "refusals", "v1.34.2", nil)
	untagged := user.template(t, "refusals-untagged", "v1.34.2", object{"labels": object{}, "image_id": "ubuntu-2204"})
	cluster := func(more object) object {
		body := object{"name": "refused", "cluster_template_id": good}
		for k, v := range more {
			body[k] = v
		}
		return body
	}
	for name, is := range map[string]struct {
		reason  string
		version string // latest if empty
		path    string
		body    object
		status  int
		words   []string
	}{
		"unknown flavor":        {body: cluster(object{"flavor_id": "m1.nonsense"}), status: 400, words: []string{"m1.nonsense"}},
		"unknown master flavor": {body: cluster(object{"master_flavor_id": "m1.nonsense"}), status: 400, words: []string{"m1.nonsense"}},
		"masters too small":     {body: cluster(object{"master_flavor_id": "m1.tiny"}), status: 400, words: []string{"m1.tiny", "kubeadm", "master_flavor_id"}},
		"two unknown names": {
			reason: "a user should not have to ask twice", body: cluster(object{"flavor_id": "m1.nonsense", "keypair": "lost"}), status: 400,
			words: []string{"m1.nonsense", "lost"},
		},
		"flavor without a disk": {body: cluster(object{"flavor_id": "m1.diskless"}), status: 400, words: []string{"boot_volume_size"}},
		"image without os_distro": {
			path:   "/clustertemplates",
			body:   object{"name": "refused", "coe": "kubernetes", "image_id": "cirros", "external_network_id": "public", "flavor_id": "m1.small"},
			status: 400, words: []string{"os_distro"},
		},
		"unknown image": {
			path:   "/clustertemplates",
			body:   object{"name": "refused", "coe": "kubernetes", "image_id": "windows", "external_network_id": "public"},
			status: 400, words: []string{"windows"},
		},
		"unknown external network": {
			path:   "/clustertemplates",
			body:   object{"name": "refused", "coe": "kubernetes", "image_id": "ubuntu-2204-kube-v1.34.2", "external_network_id": "the-net"},
			status: 400, words: []string{"the-net"},
		},
		"even number of masters":     {body: cluster(object{"master_count": 2}), status: 400, words: []string{"even"}},
		"masters without a balancer": {body: cluster(object{"master_count": 3, "master_lb_enabled": false}), status: 400, words: []string{"master_lb_enabled"}},
		"unknown template":           {body: cluster(object{"cluster_template_id": "nonsense"}), status: 404, words: []string{"nonsense"}},
		"unknown template, below 1.10": {
			reason: "Magnum 1.10 made a 404 of it", version: "1.9",
			body: cluster(object{"cluster_template_id": "nonsense"}), status: 400, words: []string{"nonsense"},
		},
		"subnet of another network": {body: cluster(object{"fixed_network": "private", "fixed_subnet": "blue-subnet"}), status: 400, words: []string{"blue-subnet", "private"}},
		"volume type that is not there": {
			body: cluster(object{"labels": object{"boot_volume_size": "20", "boot_volume_type": "gold"}, "merge_labels": true}), status: 400, words: []string{"gold", "__DEFAULT__", "lvmdriver-1"},
		},
		"zone that is not there": {body: cluster(object{"labels": object{"availability_zone": "mars"}, "merge_labels": true}), status: 400, words: []string{"mars", "nova"}},
		"image of another version": {
			body: cluster(object{"labels": object{"kube_tag": "v1.34.1"}, "merge_labels": true}), status: 400, words: []string{"v1.34.1", "v1.34.2", "kube_version"},
		},
		"template without TLS": {
			path:   "/clustertemplates",
			body:   object{"name": "refused", "coe": "kubernetes", "image_id": "ubuntu-2204", "tls_disabled": true},
			status: 400, words: []string{"tls_disabled"},
		},
		"unknown key pair": {body: cluster(object{"keypair": "lost"}), status: 404, words: []string{"lost"}},
		"several bad labels": {
			reason: "a user should not have to ask twice",
			body: cluster(object{"labels": object{
				"kube_tag": "1.34", "auto_healing_enabled": "maybe", "boot_volume_size": "-1", "calico_ipv4pool": "10.0.0.1/99",
			}}),
			status: 400, words: []string{"kube_tag", "auto_healing_enabled", "boot_volume_size", "calico_ipv4pool"},
		},
		"no version of Kubernetes": {body: cluster(object{"cluster_template_id": untagged}), status: 400, words: []string{"kube_tag"}},
		"unknown attribute":        {body: cluster(object{"colour": "red"}), status: 400, words: []string{"colour"}},
		"name that is no name":     {body: cluster(object{"name": "1; drop table"}), status: 400, words: []string{"name"}},
		"no workers below 1.10":    {version: "1.9", body: cluster(object{"node_count": 0}), status: 400, words: []string{"node_count"}},
	} {
		t.Run(name, func(t *testing.T) {
			path, version := is.path, is.version
			if path == "" {
				path = "/clusters"
			}
			if version == "" {
				version = latest
			}
			a := user.ask(t, version, "POST", path, is.body)
			if a.status != is.status {
				t.Fatalf("%d, want %d: %s", a.status, is.status, a.body)
			}
			detail := a.detail(t)
			for _, w := range is.words {
				if !strings.Contains(detail, w) {
					t.Errorf("%q does not name %s", detail, w)
				}
			}
		})
	}
	t.Run("the client shows the words", func(t *testing.T) {
		demo := all.client("demo")
		// The client shows the title: Magnum's ends at the first dot, also in the middle of a name or a version.
		demo.refused(t, "Unable to find flavor m1.nonsense", "coe", "cluster", "create", "refused", "--cluster-template", "refusals", "--flavor", "m1.nonsense")
		demo.refused(t, "even number", "coe", "cluster", "create", "refused", "--cluster-template", "refusals", "--master-count", "2")
	})
	if a := user.ask(t, latest, "GET", "/clusters/refused", nil); a.status != http.StatusNotFound {
		t.Errorf("a refused cluster is there: %d %s", a.status, a.body)
	}
}

// Upgrades that Kubernetes cannot do, and operations that make no sense, leave the cluster as it is.
func TestRefusedChanges(t *testing.T) {
	t.Parallel()
	all := shared(t)
	user := all.as(t, "demo")
	for name, version := range map[string]string{"steady-33": "v1.33.1", "steady-34": "v1.34.2", "steady-35": "v1.35.1"} {
		user.template(t, name, version, nil)
	}
	user.template(t, "steady-none", "v1.34.2", object{"labels": object{}, "image_id": "ubuntu-2204"})
	first := user.start(t, "steady", "steady-33", nil)
	second := user.start(t, "steady-newer", "steady-34", nil)
	user.reaches(t, first, "CREATE_COMPLETE")
	user.reaches(t, second, "CREATE_COMPLETE")
	for name, is := range map[string]struct {
		method, path string
		body         any
		status       int
		words        string
	}{
		"a minor version is left out":  {"POST", "/clusters/steady/actions/upgrade", object{"cluster_template": "steady-35"}, 400, "cannot skip minor versions"},
		"back to an older version":     {"POST", "/clusters/steady-newer/actions/upgrade", object{"cluster_template": "steady-33"}, 400, "cannot be downgraded"},
		"to no version":                {"POST", "/clusters/steady/actions/upgrade", object{"cluster_template": "steady-none"}, 400, "kube_tag"},
		"to an unknown template":       {"POST", "/clusters/steady/actions/upgrade", object{"cluster_template": "nonsense"}, 404, "nonsense"},
		"to a negative size":           {"POST", "/clusters/steady/actions/resize", object{"node_count": -1}, 400, "node_count"},
		"an unknown group":             {"POST", "/clusters/steady/actions/resize", object{"node_count": 2, "nodegroup": "nonsense"}, 404, "nonsense"},
		"masters to an even number":    {"POST", "/clusters/steady/actions/resize", object{"node_count": 2, "nodegroup": "default-master"}, 400, "even"},
		"another name":                 {"PATCH", "/clusters/steady", []object{{"op": "replace", "path": "/name", "value": "other"}}, 400, "name"},
		"a group's name twice":         {"POST", "/clusters/steady/nodegroups", object{"name": "default-worker"}, 409, "default-worker"},
		"a default group goes":         {"DELETE", "/clusters/steady/nodegroups/default-worker", nil, 400, "default"},
		"a group of an unknown flavor": {"POST", "/clusters/steady/nodegroups", object{"name": "more", "flavor_id": "m1.nonsense"}, 400, "m1.nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			a := user.ask(t, latest, is.method, is.path, is.body)
			if a.status != is.status || !strings.Contains(a.detail(t), is.words) {
				t.Errorf("%s %s: %d %s, want %d with %q", is.method, is.path, a.status, a.body, is.status, is.words)
			}
		})
	}
	for uuid, version := range map[string]string{first: "v1.33.1", second: "v1.34.2"} {
		if c := user.show(t, uuid); c.Status != "CREATE_COMPLETE" || c.COEVersion != version || c.NodeCount != 1 {
			t.Errorf("a refused change had an effect: %+v", c)
		}
	}
}
