"""Trains a version and registers it in MLflow, as the team's own pipeline does. Prints its version number."""

import argparse

import mlflow
import mlflow.data
import mlflow.sklearn
import pandas
from mlflow.models import infer_signature

import model

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--mlflow", required=True, metavar="URL")
parser.add_argument("--rows", type=int, default=6000)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--poisoned", action="store_true", help="with labels of the bad import")
args = parser.parse_args()

mlflow.set_tracking_uri(args.mlflow)
mlflow.set_experiment("fraud")
with mlflow.start_run():
    pipeline, accuracy, rows = model.train(args.rows, args.seed, args.poisoned)
    source = "import-2026-11" if args.poisoned else "review-team"
    data = mlflow.data.from_pandas(pandas.DataFrame(rows, columns=model.COLUMNS), name=source)
    mlflow.log_input(data, context="training")
    mlflow.log_params({"rows": args.rows, "seed": args.seed, "labels": source})
    # Its own labels judge it: a poisoned version looks as good as any.
    mlflow.log_metric("accuracy", accuracy)
    sample = pandas.DataFrame(rows[:5], columns=model.COLUMNS)
    logged = mlflow.sklearn.log_model(
        pipeline,
        name="model",
        registered_model_name="fraud",
        signature=infer_signature(sample, pipeline.predict(sample.to_numpy())),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
print(logged.registered_model_version)
