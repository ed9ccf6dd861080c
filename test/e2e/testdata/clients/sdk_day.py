# A day of a cluster as a program sees it that uses openstacksdk's cloud layer. Prints what it has seen as JSON.
import importlib.metadata, inspect, json, sys, time
import openstack
name = sys.argv[1]
conn = openstack.connect(cloud="demo")
seen = {"version": importlib.metadata.version("openstacksdk")}
template = conn.create_cluster_template(
    name, image_id="ubuntu-2204-kube-v1.34.2", keypair_id="default", coe="kubernetes", external_network_id="public",
    flavor_id="m1.small", master_flavor_id="m1.small", network_driver="calico", master_lb_enabled=True,
    labels={"kube_tag": "v1.34.2"})
seen["template"] = conn.get_cluster_template(name)["uuid"] == template["uuid"]
cluster = conn.create_coe_cluster(name, template["uuid"], node_count=1, master_count=1, keypair="default")
def await_state(*states):
    for _ in range(3600):
        found = conn.get_coe_cluster(name)
        if found is None or found["status"] in states:
            return found
        if found["status"].endswith("FAILED"):
            sys.exit("cluster %s: %s %s" % (name, found["status"], found["status_reason"]))
        time.sleep(0.25)
    sys.exit("cluster %s stays %s: %s" % (name, found["status"], found["status_reason"]))
seen["created"] = await_state("CREATE_COMPLETE")["status"]
seen["listed"] = [c["name"] for c in conn.list_coe_clusters() if c["name"] == name]
operation = ["replace"] if "operation" in inspect.signature(conn.update_coe_cluster).parameters else [] # until openstacksdk 4
conn.update_coe_cluster(name, *operation, node_count=2)
updated = await_state("UPDATE_COMPLETE")
seen["updated"] = [updated["status"], updated["node_count"]]
seen["authority"] = conn.get_coe_cluster_certificate(updated["uuid"])["pem"].splitlines()[0]
seen["deleted"] = conn.delete_coe_cluster(name)
await_state("DELETE_COMPLETE")
seen["gone"] = conn.get_coe_cluster(name) is None
seen["template_deleted"] = conn.delete_cluster_template(name)
print(json.dumps(seen))
