"""Changes a version with W&B's own client: adds or takes an alias or a tag, or deletes it.

usage: change.py ENTITY PROJECT MODEL VERSION (+alias|-alias|+tag|-tag NAME | delete)
"""

import sys

import wandb

entity, project, model, version, what, *name = sys.argv[1:]
artifact = wandb.Api().artifact(f"{entity}/{project}/{model}:{version}", type="model")
match what:
    case "+alias":
        artifact.aliases.append(name[0])
    case "-alias":
        artifact.aliases.remove(name[0])
    case "+tag":
        artifact.tags = [*artifact.tags, name[0]]
    case "-tag":
        artifact.tags = [tag for tag in artifact.tags if tag != name[0]]
    case "delete":
        artifact.delete(delete_aliases=True)
if what != "delete":
    artifact.save()
print("{}")
