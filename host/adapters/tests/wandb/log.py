"""Logs two versions of a model with W&B's own client, links the first to a registry, and prints what that client then finds.

usage: log.py ENTITY PROJECT MODEL REGISTRY
"""

import hashlib
import json
import pathlib
import sys
import tempfile

import wandb

entity, project, model, registry = sys.argv[1:]


def described(artifact, folder):
    """What W&B's own client downloads."""
    local = pathlib.Path(artifact.download(root=str(folder)))
    files = [path for path in local.rglob("*") if path.is_file()]
    return [
        {
            "path": path.relative_to(local).as_posix(),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in sorted(files)
    ]


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    rows = folder / "rows.csv"
    rows.write_text("1,2\n")
    weights = folder / "files" / "weights"
    weights.mkdir(parents=True)
    with wandb.init(entity=entity, project=project, config={"depth": 4, "loss": "mse"}) as run:
        transactions = wandb.Artifact("transactions", type="dataset")
        transactions.add_file(str(rows))
        run.log_artifact(transactions).wait()
        run.use_artifact(f"{entity}/{project}/transactions:latest")
        for number in range(2):
            (folder / "files" / "model.txt").write_text(f"{number}\n")
            (weights / "é 100%.bin").write_bytes(bytes([number]) * 100_000)
            artifact = wandb.Artifact(model, type="model", metadata={"accuracy": 0.9 + number / 100, "by": "hand"})
            artifact.add_dir(str(folder / "files"))
            logged = run.log_artifact(artifact, aliases=["production"] if number == 0 else ["candidate"])
            logged.wait()
            if number == 0:
                logged.link(f"{registry}/{model}", aliases=["staging"])
        run_id = run.id

    api = wandb.Api()
    versions = []
    for number in range(2):
        found = api.artifact(f"{entity}/{project}/{model}:v{number}", type="model")
        into = folder / f"of-{number}"
        versions.append({"version": found.version, "files": described(found, into), "aliases": sorted(found.aliases)})
    creator = found.logged_by()
    used = [artifact.name for artifact in creator.used_artifacts()]
    print(json.dumps({"wandb": wandb.__version__, "run": run_id, "versions": versions, "used": used, "commit": creator.commit}))
