package addon

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

const (
	shareSecret  = "csi-manila-secrets"
	shareNetwork = "manila_csi_share_network_id"
)

func noManila(c Cluster) string {
	switch {
	case !c.Labels.Bool("manila_csi_enabled"):
		return "the label manila_csi_enabled is false"
	case !c.Cloud.Shares:
		return "the cloud has no Manila"
	}
	return ""
}

// manilaValues: the driver makes shares in Manila, and csi-driver-nfs mounts them (magnum-cluster-api 0.38.1: the same
// two).
func manilaValues(c Cluster) m {
	image := func(tag string) m {
		if !c.Labels.Has(tag) {
			return m{} // the chart's, which fit each other
		}
		return m{"image": m{"tag": c.Labels.String(tag)}}
	}
	mounts, volumes := []any{}, []any{}
	if len(c.Cloud.CA) > 0 {
		mounts = append(mounts, m{"name": "cloud-config", "mountPath": cloudConfigDir, "readOnly": true})
		volumes = append(volumes, m{"name": "cloud-config", "secret": m{"secretName": CloudConfig}})
	}
	manila := image("manila_csi_plugin_tag")
	manila["clusterID"] = c.UUID
	return m{
		"csimanila": manila,
		"controllerplugin": m{
			"tolerations": anywhere(), "volumes": volumes, "volumeMounts": mounts,
			"provisioner": image("csi_provisioner_tag"), "snapshotter": image("csi_snapshotter_tag"), "resizer": image("csi_resizer_tag"),
		},
		"nodeplugin": m{
			"tolerations": anywhere(), "volumes": volumes, "volumeMounts": mounts, "registrar": image("csi_node_driver_registrar_tag"),
		},
	}
}

func nfsValues(c Cluster) m {
	out := m{}
	for chart, tag := range map[string]string{"livenessprobe": "csi_liveness_probe_tag", "registrar": "csi_node_driver_registrar_tag"} {
		if c.Labels.Has(tag) {
			out[chart] = m{"tag": c.Labels.String(tag)}
		}
	}
	return out
}

// shareObjects are the credential that storage classes of shares name, and a class for each share type: share-NAME.
// Without a share network there is none, for where a share is to be reached is not known then (magnum-cluster-api
// 0.38.1).
func shareObjects(c Cluster) []m {
	credential := m{
		"os-authURL": c.Cloud.AuthURL, "os-region": c.Cloud.Region, "os-applicationCredentialID": c.Cloud.ID,
		"os-applicationCredentialSecret": c.Cloud.Secret, "os-TLSInsecure": strconv.FormatBool(c.Cloud.Insecure),
	}
	if len(c.Cloud.CA) > 0 {
		credential["os-certAuthorityPath"] = cloudConfigDir + "/ca.crt"
	}
	for key, value := range credential {
		credential[key] = base64.StdEncoding.EncodeToString([]byte(value.(string))) //nolint:forcetypeassert // made above
	}
	out := []m{{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": m{"name": shareSecret, "namespace": Namespace}, "data": credential}}
	if !c.Labels.Has(shareNetwork) {
		return out
	}
	types := slices.Clone(c.Cloud.ShareTypes)
	slices.SortFunc(types, func(a, b string) int { return strings.Compare(objectName(a), objectName(b)) })
	for _, t := range types {
		parameters := m{"type": t, "shareNetworkID": c.Labels.String(shareNetwork)}
		for _, who := range []string{"provisioner", "controller-expand", "node-stage", "node-publish"} {
			parameters["csi.storage.k8s.io/"+who+"-secret-name"] = shareSecret
			parameters["csi.storage.k8s.io/"+who+"-secret-namespace"] = Namespace
		}
		out = append(out, m{
			"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": m{"name": "share-" + objectName(t)},
			"provisioner": "nfs.manila.csi.openstack.org", "parameters": parameters,
			"allowVolumeExpansion": true, "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate",
		})
	}
	return out
}
