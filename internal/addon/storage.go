package addon

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
)

func cinderValues(c Cluster) m {
	sidecars := m{}
	for chart, tag := range map[string]string{
		"attacher": "csi_attacher_tag", "livenessprobe": "csi_liveness_probe_tag", "nodeDriverRegistrar": "csi_node_driver_registrar_tag",
		"provisioner": "csi_provisioner_tag", "resizer": "csi_resizer_tag", "snapshotter": "csi_snapshotter_tag",
	} {
		if c.Labels.Has(tag) { // otherwise the chart's, which fit each other
			sidecars[chart] = m{"image": m{"tag": c.Labels.String(tag)}}
		}
	}
	plugin := m{
		"controllerPlugin": m{"tolerations": anywhere()},
		"volumes":          []any{m{"name": "ssl-certs", "hostPath": m{"path": "/etc/ssl/certs"}}},
		"volumeMounts": []any{
			m{"name": "ssl-certs", "mountPath": "/etc/ssl/certs", "readOnly": true},
			m{"name": "cloud-config", "mountPath": cloudConfigDir, "readOnly": true},
		},
	}
	if c.Labels.Has("cinder_csi_plugin_tag") {
		plugin["image"] = m{"tag": c.Labels.String("cinder_csi_plugin_tag")}
	}
	sidecars["plugin"] = plugin
	return m{
		"secret":    m{"enabled": true, "create": false, "name": "cloud-config", "hostMount": false},
		"clusterID": c.UUID, "storageClass": m{"enabled": false}, "csi": sidecars,
	}
}

// storageClasses are one for each volume type, with magnum-cluster-api's names: block-NAME. Cinder's default type is
// the default class, also when it is the one that Cinder makes itself (__DEFAULT__): a cloud without types of its own
// has volumes.
func storageClasses(c Cluster) []m {
	var out []m
	for _, t := range c.Cloud.VolumeTypes {
		class := m{
			"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
			"metadata":    m{"name": "block-" + objectName(t.Name)},
			"provisioner": "cinder.csi.openstack.org", "parameters": m{"type": t.Name},
			"allowVolumeExpansion": true, "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate",
		}
		if t.Default {
			class["metadata"] = m{
				"name":        "block-" + objectName(t.Name),
				"annotations": m{"storageclass.kubernetes.io/is-default-class": "true"},
			}
		}
		out = append(out, class)
	}
	slices.SortFunc(out, func(a, b m) int {
		return strings.Compare(a["metadata"].(m)["name"].(string), b["metadata"].(m)["name"].(string)) //nolint:forcetypeassert // made above
	})
	return out
}

var illegal = regexp.MustCompile(`[^a-z0-9.]+`) //nolint:gochecknoglobals // compiled once

// objectName makes a name of an object from a name of the cloud's: "SSD (gold)" is "ssd-gold-" and eight digits. Names
// that are legal stay as they are; others are followed by a digest, so that two of them never become one.
func objectName(name string) string {
	legal := strings.Trim(illegal.ReplaceAllString(strings.ToLower(name), "-"), "-.")
	legal = legal[:min(len(legal), 200)]
	if legal == name {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.Trim(legal+"-"+hex.EncodeToString(sum[:4]), "-")
}
