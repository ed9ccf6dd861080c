"""Runs the original generator without chance and without writing.

usage: original.py DIRECTORY-OF-OSA_TOOLKIT CONFIG ENVIRONMENT

New containers are numbered and addresses are taken in order, so that two tools can be compared. Exit status 3: refused.
"""
import queue
import random
import sys
import uuid
import warnings

tree, config, environment = sys.argv[1:4]
sys.path.insert(0, tree)
warnings.simplefilter("ignore")

counter = iter(range(1, 1 << 32))
uuid.uuid4 = lambda: "%08x-0000" % next(counter)
random.sample = lambda items, count: list(items)
take = queue.Queue.get
queue.Queue.get = lambda self, block=True, timeout=None: take(self, False)

from osa_toolkit import filesystem, generate  # noqa: E402

filesystem.save_inventory = lambda text, path: None
try:
    make = getattr(generate, "generate", None) or generate.main
    sys.stdout.write(make(config=config, environment=environment))
except BaseException as problem:
    sys.stderr.write("%s: %s\n" % (type(problem).__name__, problem))
    sys.exit(3)
