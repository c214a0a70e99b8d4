"""Prints what W&B's own client reads of a collection: version by version, newest first.

usage: read.py ENTITY PROJECT MODEL
"""

import json
import sys

import wandb

entity, project, model = sys.argv[1:]
api = wandb.Api()
artifacts = list(api.artifacts("model", f"{entity}/{project}/{model}"))
versions = [
    {"version": artifact.version, "aliases": sorted(artifact.aliases), "tags": sorted(artifact.tags)}
    for artifact in artifacts
]
versions.sort(key=lambda one: int(one["version"][1:]), reverse=True)
print(json.dumps({"versions": versions}))
