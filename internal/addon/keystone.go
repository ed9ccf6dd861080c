package addon

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// keystonePolicy is what a project's members may do in their clusters by their Keystone token alone, unless the
// operator's [kubernetes] keystone_auth_default_policy says otherwise (magnum-cluster-api 0.38.1, utils.py: the same).
const keystonePolicy = `[{"resource": {"verbs": ["list"], "resources": ["pods", "services", "deployments", "pvc"], "version": "*", "namespace": "default"},
  "match": [{"type": "role", "values": ["member"]}, {"type": "project", "values": ["$PROJECT_ID"]}]}]`

// CheckKeystonePolicy finds out whether an operator's policy is one: the webhook takes a list of objects.
func CheckKeystonePolicy(text []byte) error {
	var policies []map[string]any
	if err := json.Unmarshal(text, &policies); err != nil {
		return fmt.Errorf("it must be a JSON list of policies: %w", err)
	}
	return nil
}

func noKeystone(c Cluster) string {
	if !c.Labels.Bool(label.KeystoneAuthEnabled) {
		return "the label " + label.KeystoneAuthEnabled + " is false"
	}
	return ""
}

// keystoneValues are of the chart in the lock: one webhook on each node of the control plane, at 127.0.0.1, with the
// API server's own certificate. The API server asks it about tokens and permissions (package capi configures it there).
func keystoneValues(c Cluster) m {
	text := c.KeystonePolicy
	if text == "" {
		text = keystonePolicy
	}
	var policy []any
	// It was checked when the server started.
	_ = json.Unmarshal([]byte(strings.ReplaceAll(text, "$PROJECT_ID", c.ProjectID)), &policy)
	return m{"keystoneURL": keystoneURL(c.Cloud.AuthURL), "ca": string(c.Cloud.CA), "policy": policy}
}

// keystoneURL ends with the version: the webhook asks for none.
func keystoneURL(auth string) string {
	auth = strings.TrimRight(auth, "/")
	if strings.HasSuffix(auth, "/v3") {
		return auth
	}
	return auth + "/v3"
}
