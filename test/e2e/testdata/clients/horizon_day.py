# A day in Horizon: its own code, with magnum-ui, in this process. A browser's requests (log-in, and those that magnum-ui's pages send to the
# dashboard) go in, and it asks the cloud at argv[1]. Prints what it has seen as JSON.
import json
import os
import sys
import time
import warnings

warnings.simplefilter("ignore")
os.environ["DJANGO_SETTINGS_MODULE"] = "openstack_dashboard.settings"

import django
import pkg_resources
from django.conf import settings

settings.OPENSTACK_KEYSTONE_URL = sys.argv[1]
settings.ALLOWED_HOSTS = ["*"]
settings.SECRET_KEY = "of this process only"
settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = False
settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
settings.LOGGING_CONFIG = None
django.setup()
from django.test import Client
from openstack_dashboard.api.rest import utils

# Its answers have a read-only property where Django's test client puts a function of that name.
del utils._RestResponse.json

WEB = settings.WEBROOT.rstrip("/")
AT = WEB + "/api/container_infra/"


class Browser:
    def __init__(self, name):
        self.client = Client()
        login = self.client.post(settings.LOGIN_URL, {
            "username": name, "password": name, "domain": "Default", "region": "default", "auth_type": "credentials"})
        if login.status_code != 302 or "sessionid" not in self.client.cookies:
            sys.exit("log-in of %s: %s %s" % (name, login.status_code, login.content[:1000]))

    def ask(self, method, path, body=None, want=None):
        answer = getattr(self.client, method)(
            AT + path, *([] if body is None else [json.dumps(body)]), HTTP_X_REQUESTED_WITH="XMLHttpRequest",
            **({} if body is None else {"content_type": "application/json"}))
        if answer.status_code != (want or {"post": 201, "delete": 204, "patch": 201}.get(method, 200)):
            sys.exit("%s %s: %s %s" % (method, path, answer.status_code, answer.content[:1000].decode()))
        return json.loads(answer.content) if answer.content else None


def await_state(state, **want):
    deadline = time.time() + 900
    while time.time() < deadline:
        found = demo.ask("get", "clusters/" + cluster)
        if found["status"] == state and all(found[k] == v for k, v in want.items()):
            return found
        if found["status"].endswith("FAILED"):
            sys.exit("cluster horizon: %s %s" % (found["status"], found["status_reason"]))
        time.sleep(0.3)
    sys.exit("cluster horizon stays %s: %s" % (found["status"], found["status_reason"]))


seen = {"version": pkg_resources.get_distribution("magnum-ui").version}
demo, admin = Browser("demo"), Browser("admin")
# magnum-ui makes a string of every value on its way to Magnum.
template = demo.ask("post", "cluster_templates/", {
    "name": "horizon", "coe": "kubernetes", "image_id": "ubuntu-2204-kube-v1.34.2", "flavor_id": "m1.small", "master_flavor_id": "m1.small",
    "keypair_id": "default", "external_network_id": "public", "network_driver": "calico", "volume_driver": "cinder", "server_type": "vm",
    "public": False, "hidden": False, "registry_enabled": False, "tls_disabled": False, "master_lb_enabled": True, "floating_ip_enabled": True,
    "labels": "kube_tag=v1.34.2,boot_volume_size=20"})
newer = demo.ask("post", "cluster_templates/", {
    "name": "horizon-newer", "coe": "kubernetes", "image_id": "ubuntu-2204-kube-v1.35.1", "flavor_id": "m1.small", "master_flavor_id": "m1.small",
    "external_network_id": "public", "network_driver": "calico", "master_lb_enabled": True, "labels": "kube_tag=v1.35.1"})
seen["templates"] = sorted(t["name"] for t in demo.ask("get", "cluster_templates/")["items"] if t["name"].startswith("horizon"))
made = demo.ask("get", "cluster_templates/" + template["uuid"])
seen["labels"] = made["labels"]
change = {k: made[k] for k in (
    "name", "coe", "image_id", "flavor_id", "master_flavor_id", "keypair_id", "external_network_id", "network_driver", "volume_driver",
    "server_type", "labels", "public", "hidden", "registry_enabled", "tls_disabled", "master_lb_enabled", "floating_ip_enabled")}
demo.ask("patch", "cluster_templates/" + template["uuid"], dict(change, dns_nameserver="9.9.9.9"))
seen["dns"] = demo.ask("get", "cluster_templates/" + template["uuid"])["dns_nameserver"]

cluster = demo.ask("post", "clusters/", {
    "name": "horizon", "cluster_template_id": template["uuid"], "keypair": "default", "master_count": 1, "node_count": 1, "create_timeout": 60,
    "rollback": False, "labels": {"boot_volume_size": "21"}, "merge_labels": True})["uuid"]
created = await_state("CREATE_COMPLETE")
seen["created"] = {k: created[k] for k in ("status", "node_count", "master_count", "health_status", "labels")}
seen["listed"] = [c["name"] for c in demo.ask("get", "clusters/")["items"] if c["name"] == "horizon"]
# The page of Horizon's own resize reads Heat's stack, which no Cluster API has; the request itself is plain.
demo.ask("post", "clusters/%s/resize" % cluster, {"node_count": 2, "nodes_to_remove": []}, want=200)
seen["resized"] = await_state("UPDATE_COMPLETE", node_count=2)["node_count"]
demo.ask("patch", "clusters/" + cluster, {"name": "horizon", "node_count": 1, "rollback": True})
seen["updated"] = await_state("UPDATE_COMPLETE", node_count=1)["node_count"]
seen["authority"] = demo.ask("get", "certificates/" + cluster)["pem"].splitlines()[0]
demo.ask("post", "clusters/%s/upgrade" % cluster, {"cluster_template": newer["uuid"], "max_batch_size": 1, "nodegroup": "default-worker"}, want=200)
seen["upgraded"] = await_state("UPDATE_COMPLETE", cluster_template_id=newer["uuid"])["coe_version"]
seen["stats"] = sorted(demo.ask("get", "stats/")["stats"])
project = demo.client.session["project_id"] if "project_id" in demo.client.session else created["project_id"]
admin.ask("post", "quotas/", {"project_id": project, "resource": "Cluster", "hard_limit": 40})
admin.ask("patch", "quotas/%s/Cluster" % project, {"project_id": project, "resource": "Cluster", "hard_limit": 41})
seen["quota"] = admin.ask("get", "quotas/%s/Cluster" % project)["hard_limit"]
seen["quotas"] = len([q for q in admin.ask("get", "quotas/")["items"] if q["project_id"] == project])
admin.ask("delete", "quotas/%s/Cluster" % project, {"project_id": project, "resource": "Cluster"})
demo.ask("delete", "clusters/", [cluster])
deadline = time.time() + 900
while [c for c in demo.ask("get", "clusters/")["items"] if c["id"] == cluster]:
    if time.time() > deadline:
        sys.exit("cluster horizon is not gone after fifteen minutes")
    time.sleep(0.3)
demo.ask("delete", "cluster_templates/", [template["uuid"], newer["uuid"]])
seen["left"] = [t["name"] for t in demo.ask("get", "cluster_templates/")["items"] if t["name"].startswith("horizon")]
print(json.dumps(seen))
