package magnum

// Driver is one way to make clusters, as a cluster template names it.
type Driver struct {
	Name     string
	OSDistro string // the os_distro of images it works with
}

// Drivers are the entry points that magnum-cluster-api registers (its driver.py); existing templates carry these names.
func Drivers() []Driver {
	return []Driver{
		{"k8s_cluster_api_debian", "debian"},
		{"k8s_cluster_api_flatcar", "flatcar"},
		{"k8s_cluster_api_rockylinux", "rockylinux"},
		{"k8s_cluster_api_ubuntu", "ubuntu"},
		{"k8s_cluster_api_ubuntu_focal", "ubuntu-focal"},
	}
}
