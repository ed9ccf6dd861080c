package kube

import (
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Config is a kubeconfig with one user of one cluster. What the user shows of itself is in account.
func Config(server string, ca []byte, user string, account clientcmdapi.AuthInfo) (string, error) {
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["kubernetes"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	cfg.AuthInfos[user] = &account
	cfg.Contexts[user] = &clientcmdapi.Context{Cluster: "kubernetes", AuthInfo: user}
	cfg.CurrentContext = user
	text, err := clientcmd.Write(*cfg)
	return string(text), err
}

// KubeconfigKey is where KubeconfigSecretName's Secret has the kubeconfig.
const KubeconfigKey = "value"

// KubeconfigSecretName is the Secret with the kubeconfig that Cluster API makes for a cluster (Cluster API 1.14,
// util/secret).
func KubeconfigSecretName(stackID string) string { return stackID + "-kubeconfig" }
