"""Puts a version of the registry into production: what a team writes for itself before it has anything better, for deploying as for
rolling back. Looks the version up, downloads it, swaps the server's folder, loads, moves the alias, and looks at one golden answer."""

import argparse
import json
import shutil
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("version", help="a number, or an alias such as `champion`")
parser.add_argument("--mlflow", required=True, metavar="URL")
parser.add_argument("--mlserver", required=True, metavar="URL")
parser.add_argument("--models", required=True, type=Path, metavar="DIR", help="the folder that the server reads")
parser.add_argument("--golden", type=Path, metavar="FILE")
args = parser.parse_args()

NAME, ALIAS = "fraud", "champion"
waited = 0.0


def fetch(request) -> bytes:
    """Asks another system; the time goes into `waited`."""
    global waited
    since = time.monotonic()
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    waited += time.monotonic() - since
    return text


def ask(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    text = fetch(request)
    return json.loads(text) if text else None


def mlflow(path, **query):
    return ask(f"{args.mlflow}/api/2.0/mlflow/{path}?{urllib.parse.urlencode(query)}")


def download(path: str, into: Path):
    base = f"{args.mlflow}/api/2.0/mlflow-artifacts/artifacts"
    for entry in ask(f"{base}?{urllib.parse.urlencode({'path': path})}").get("files", []):
        name = Path(entry["path"]).name
        if entry.get("is_dir"):
            (into / name).mkdir()
            download(f"{path}/{name}", into / name)
        else:
            (into / name).write_bytes(fetch(f"{base}/{urllib.parse.quote(path)}/{name}"))


start = time.monotonic()
version = args.version
if not version.isdigit():
    version = mlflow("registered-models/alias", name=NAME, alias=version)["model_version"]["version"]
uri = mlflow("model-versions/get-download-uri", name=NAME, version=version)["artifact_uri"]

fresh, live = args.models / f".{NAME}-next", args.models / NAME
shutil.rmtree(fresh, ignore_errors=True)
fresh.mkdir()
download(uri.removeprefix("mlflow-artifacts:").lstrip("/"), fresh)
settings = {
    "name": NAME,
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": "./model.pkl", "version": version},
}
(fresh / "model-settings.json").write_text(json.dumps(settings))
old = args.models / f".{NAME}-old"
shutil.rmtree(old, ignore_errors=True)
if live.exists():
    live.rename(old)
fresh.rename(live)
ask(f"{args.mlserver}/v2/repository/models/{NAME}/load", {})
ask(f"{args.mlflow}/api/2.0/mlflow/registered-models/alias", {"name": NAME, "alias": ALIAS, "version": version})
if args.golden:
    golden = json.loads(args.golden.read_text().splitlines()[0])
    answer = ask(f"{args.mlserver}/v2/models/{NAME}/infer", {"inputs": golden["inputs"]})
    if answer["model_version"] != version:
        sys.exit(f"version {answer['model_version']} answers, not {version}")
took = time.monotonic() - start
times = {"milliseconds": took, "systems_milliseconds": waited, "own_milliseconds": took - waited}
print(json.dumps({"version": version, **{name: round(seconds * 1000, 1) for name, seconds in times.items()}}))
