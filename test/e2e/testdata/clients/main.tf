terraform {
  required_providers {
    openstack = { source = "terraform-provider-openstack/openstack" }
  }
}

provider "openstack" {
  cloud = "demo"
}

variable "nodes" { type = number }
variable "group" { type = number }
variable "template" { type = string }

resource "openstack_containerinfra_clustertemplate_v1" "template" {
  for_each              = toset(["v1.34.2", "v1.35.1"])
  name                  = "terraform-${each.key}"
  coe                   = "kubernetes"
  image                 = "ubuntu-2204-kube-${each.key}"
  flavor                = "m1.small"
  master_flavor         = "m1.small"
  external_network_id   = "public"
  network_driver        = "calico"
  dns_nameserver        = "9.9.9.9"
  floating_ip_enabled   = true
  master_lb_enabled     = true
  docker_storage_driver = "overlay2"
  labels = {
    kube_tag = each.key
  }
}

resource "openstack_containerinfra_cluster_v1" "cluster" {
  name                = "terraform"
  cluster_template_id = openstack_containerinfra_clustertemplate_v1.template[var.template].id
  keypair             = "default"
  master_count        = 1
  node_count          = var.nodes
  merge_labels        = true
  labels = {
    boot_volume_size = "20"
  }
}

resource "openstack_containerinfra_nodegroup_v1" "group" {
  cluster_id     = openstack_containerinfra_cluster_v1.cluster.id
  name           = "terraform_group"
  role           = "myRole"
  node_count     = var.group
  min_node_count = 1
  max_node_count = 4
  merge_labels   = true
  labels = {
    boot_volume_size = "30"
  }
}

data "openstack_containerinfra_cluster_v1" "found" {
  name       = "terraform"
  depends_on = [openstack_containerinfra_cluster_v1.cluster, openstack_containerinfra_nodegroup_v1.group]
}

data "openstack_containerinfra_nodegroup_v1" "found" {
  cluster_id = openstack_containerinfra_cluster_v1.cluster.id
  name       = openstack_containerinfra_nodegroup_v1.group.name
}

output "cluster" { value = openstack_containerinfra_cluster_v1.cluster.id }
output "coe_version" { value = data.openstack_containerinfra_cluster_v1.found.coe_version }
output "found" { value = data.openstack_containerinfra_cluster_v1.found.id }
output "workers" { value = data.openstack_containerinfra_nodegroup_v1.found.node_count }
output "labels" { value = data.openstack_containerinfra_cluster_v1.found.labels }
output "group" { value = openstack_containerinfra_nodegroup_v1.group.name }
output "role" { value = data.openstack_containerinfra_nodegroup_v1.found.role }
output "host" {
  value     = openstack_containerinfra_cluster_v1.cluster.kubeconfig["host"]
  sensitive = true
}
