"""Registers two versions of a model on a real server with MLflow's own client, and prints what that client finds of them.

usage: seed.py TRACKING_URI MODEL
"""

import hashlib
import json
import logging
import pathlib
import sys
import tempfile

import mlflow
import numpy as np
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

logging.getLogger("mlflow").setLevel(logging.ERROR)
uri, model = sys.argv[1:]
mlflow.set_tracking_uri(uri)
mlflow.set_experiment(f"of {model}")
client = mlflow.MlflowClient()
inputs, classes = load_iris(return_X_y=True)


def register(c, revision, folder):
    """One run, one version; its artefact has a folder within a folder and an awkward name."""
    code = folder / f"code-{c}" / "my helpers"
    code.mkdir(parents=True)
    (code / "é 100%.py").write_text(f"C = {c}\n", encoding="utf-8")
    with mlflow.start_run(run_name=f"c-{c}") as run:
        mlflow.set_tag("mlflow.source.git.commit", "0123456789abcdef0123456789abcdef01234567")
        for context, name, rows in [("training", "iris", inputs[:100]), ("eval", "iris-rest", inputs[100:])]:
            rows = np.concatenate([rows, [[revision] * 4]])
            mlflow.log_input(mlflow.data.from_numpy(rows, name=name), context=context)
        mlflow.log_param("C", c)
        fitted = LogisticRegression(C=c, max_iter=500).fit(inputs, classes)
        mlflow.log_metric("accuracy", fitted.score(inputs, classes))
        mlflow.log_metric("loss", float("nan"))
        mlflow.sklearn.log_model(
            fitted,
            "model",
            signature=infer_signature(inputs, fitted.predict(inputs)),
            registered_model_name=model,
            pip_requirements=["scikit-learn"],
            code_paths=[str(code.parent)],
        )
    return run.info.run_id


def described(version, folder):
    """What MLflow's own client downloads. It adds one file of its own."""
    local = pathlib.Path(mlflow.artifacts.download_artifacts(f"models:/{model}/{version}", dst_path=folder))
    files = [path for path in local.rglob("*") if path.is_file() and path.name != "registered_model_meta"]
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
    runs = [register(c, revision, folder) for c, revision in [(1.0, 1), (0.01, 2)]]
    client.set_model_version_tag(model, "1", "team", "payments")
    client.set_registered_model_alias(model, "champion", "2")
    versions = []
    for version, run in zip(["1", "2"], runs):
        into = folder / version
        into.mkdir()
        versions.append({"version": version, "run": run, "files": described(version, str(into))})
    print(json.dumps({"mlflow": mlflow.__version__, "versions": versions}))
