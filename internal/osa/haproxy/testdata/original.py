"""Renders a service with the original role's template.

usage: original.py ROLE < JSON {"service": ..., "vars": ...}
"""
import json
import sys

import jinja2

role = sys.argv[1]
given = json.load(sys.stdin)
env = jinja2.Environment(
    loader=jinja2.FileSystemLoader(role + "/templates"), trim_blocks=True, undefined=jinja2.ChainableUndefined
)
env.filters["ternary"] = lambda v, yes, no: yes if v else no
env.filters["bool"] = lambda v: v in (True, 1) or str(v).lower() in ("yes", "true", "on", "1")
env.tests["truthy"] = bool
sys.stdout.write(env.get_template("service.j2").render(service=given["service"], **given["vars"]))
