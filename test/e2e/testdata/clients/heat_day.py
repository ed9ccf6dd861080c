# A stack with OS::Magnum::ClusterTemplate and OS::Magnum::Cluster, lived through by Heat's own engine in this process: made, grown, checked and
# deleted. Its database is SQLite in memory; everything else that it asks (Keystone, Glance, Nova, Neutron, Magnum) is the cloud of clouds.yaml.
# Prints what it has seen as JSON.
import json
import logging
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import openstack
import pkg_resources
from oslo_config import cfg
from heat.common import context, messaging, template_format
from heat.db.sqlalchemy import api as db, models
from heat.engine import environment, resources, stack as stacks, template

ATTRIBUTES = (
    "api_address stack_id coe_version master_addresses status master_count node_addresses status_reason node_count name "
    "container_version discovery_url cluster_template_id keypair create_timeout show").split()

TEMPLATE = """
heat_template_version: 2018-08-31
parameters: {nodes: {type: number}}
resources:
  template:
    type: OS::Magnum::ClusterTemplate
    properties:
      {name: heat, image: ubuntu-2204-kube-v1.34.2, flavor: m1.small, master_flavor: m1.small, keypair: default, external_network: public,
       coe: kubernetes, network_driver: calico, master_lb_enabled: true, labels: {kube_tag: v1.34.2}}
  cluster:
    type: OS::Magnum::Cluster
    properties:
      {name: heat, cluster_template: {get_resource: template}, node_count: {get_param: nodes}, keypair: default, create_timeout: 60}
outputs:
  template: {value: {get_resource: template}}
""" + "".join("  %s: {value: {get_attr: [cluster, %s]}}\n" % (name, name) for name in ATTRIBUTES)


def read(nodes):
    return template.Template(template_format.parse(TEMPLATE), env=environment.Environment({"parameters": {"nodes": nodes}}))


def outputs(stack):
    # What Heat's engine does before it shows a stack: read the attributes that outputs need.
    stack._update_all_resource_data(for_resources=False, for_outputs=True)
    return {name: output.get_value() for name, output in stack.outputs.items()}


conn = openstack.connect(cloud="demo")
auth_url = conn.config.auth["auth_url"]
cfg.CONF([], project="heat", default_config_files=[])
cfg.CONF.set_override("connection", "sqlite://", group="database")
cfg.CONF.set_override("auth_encryption_key", "0123456789abcdef0123456789abcdef")
cfg.CONF.set_override("deferred_auth_method", "password")
cfg.CONF.set_override("convergence_engine", False)
cfg.CONF.set_override("auth_uri", auth_url, group="clients_keystone")
messaging.setup("fake://")
resources.initialise()
models.BASE.metadata.create_all(db.get_engine())
ctx = context.RequestContext(
    auth_token=conn.auth_token, username="demo", password="demo", user_id=conn.current_user_id, project_id=conn.current_project_id,
    auth_url=auth_url, project_name="demo", user_domain_id="default", project_domain_id="default", roles=["member"], is_admin=False,
    region_name="RegionOne")

seen = {"version": pkg_resources.get_distribution("openstack-heat").version, "states": []}
stack = stacks.Stack(ctx, "heat", read(1))
stack.store()
stack.validate()
stack.create()
seen["states"].append([*stack.state, stack.status_reason])
seen["created"] = outputs(stack)
grown = stacks.Stack(ctx, "heat", read(2))
grown.parameters.set_stack_id(stack.identifier())
stack.update(grown)
# Heat's engine loads a stack anew for each request.
last = stacks.Stack.load(ctx, stack_id=stack.id)
seen["states"].append([*last.state, last.status_reason])
seen["updated"] = {name: conn.get_coe_cluster("heat")[name] for name in ("node_count", "status", "stack_id")}
last = stacks.Stack.load(ctx, stack_id=stack.id)
last.check()
seen["states"].append([*last.state, last.status_reason])
last = stacks.Stack.load(ctx, stack_id=stack.id)
last.delete()
seen["states"].append([*last.state, last.status_reason])
seen["left"] = [c["name"] for c in conn.list_coe_clusters() if c["name"] == "heat"]
print(json.dumps(seen))
