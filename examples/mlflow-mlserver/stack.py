"""Starts everything, lets the bad version be promoted, and waits until Ripcord has brought the good one back.

Ends with what `ripcord incidents show` prints, the golden set's results before and after, and how long the team's own script takes for the
same way back, measured beside it."""

import argparse
import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
SERVICE = "fraud-api"
# Port in the files of this folder, and what listens there.
PORTS = {5000: "mlflow", 8080: "mlserver", 8081: "grpc", 8082: "mlserver-metrics", 8787: "ripcord", 9090: "prometheus", 9093: "alertmanager", 9108: "traffic"}
PATIENCE = 120
SCRIPT_RUNS = 5

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--ripcord", required=True, metavar="PROGRAM")
parser.add_argument("--mlflow", required=True, metavar="PROGRAM")
parser.add_argument("--mlserver", required=True, metavar="PROGRAM")
parser.add_argument("--dir", required=True, type=Path, help="an empty folder for all that is written")
parser.add_argument("--free-ports", action="store_true", help="choose ports that nobody uses instead of the usual ones")
parser.add_argument("--keep", action="store_true", help="leave everything running at the end, until ctrl-c")
parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
args = parser.parse_args()
# The children run in the folder.
for tool in ["ripcord", "mlflow", "mlserver"]:
    setattr(args, tool, os.path.abspath(getattr(args, tool)))


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Stack:
    def __init__(self, folder: Path):
        self.folder, self.children = folder, []
        self.ports = {port: free_port() if args.free_ports else port for port in PORTS}
        self.python = Path(args.mlflow).with_name("python")

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{next(self.ports[port] for port, it in PORTS.items() if it == name)}"

    def port(self, name: str) -> int:
        return int(self.url(name).rsplit(":", 1)[1])

    def start(self, name: str, *command, env=None, cwd=None):
        log = open(self.folder / "logs" / f"{name}.log", "wb")
        child = subprocess.Popen(
            [str(part) for part in command], cwd=cwd or self.folder, env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )
        self.children.append((name, child))

    def until(self, what: str, done):
        since = time.monotonic()
        while True:
            for name, child in self.children:
                if child.poll() is not None:
                    raise SystemExit(f"{name} ended with {child.returncode}: read {self.folder / 'logs' / name}.log")
            with contextlib.suppress(OSError, http.client.HTTPException, LookupError, ValueError):
                found = done()
                if found:
                    return found
            if time.monotonic() - since > PATIENCE:
                raise SystemExit(f"{what} within {PATIENCE} s: read the logs in {self.folder / 'logs'}")
            time.sleep(0.1)

    def answers(self, url: str):
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200

    def stop(self):
        for _, child in reversed(self.children):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        for _, child in reversed(self.children):
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()

    def team(self, script: str, *arguments):
        """Runs one of the team's own scripts; the last line of what it printed."""
        ran = subprocess.run(
            [str(self.python), str(HERE / script), *map(str, arguments)],
            cwd=self.folder, capture_output=True, text=True, check=False,
        )
        if ran.returncode != 0:
            raise SystemExit(f"{script} failed:\n{ran.stderr}")
        return ran.stdout.strip().rpartition("\n")[2]

    def deploy(self, version) -> dict:
        places = ["--mlflow", self.url("mlflow"), "--mlserver", self.url("mlserver"), "--models", self.folder / "models"]
        return json.loads(self.team("deploy.py", version, *places, "--golden", self.folder / "golden/fraud.jsonl"))

    def ripcord(self, *arguments, who="olga"):
        command = [args.ripcord, "--json", "--token-file", f"secrets/{who}.token", *arguments]
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        # 3: a person is waited for.
        if ran.returncode not in (0, 3):
            raise SystemExit(f"ripcord {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return json.loads(ran.stdout)

    def incident(self):
        with urllib.request.urlopen(self.asked(f"services/{SERVICE}"), timeout=5) as answer:
            service = json.load(answer)
        return service["incident"] or service["last_settled"]

    def ended(self):
        """The incident, once nothing more happens by itself."""
        incident = self.incident()
        return incident if incident["needs"] or incident["phase"] == "settled" else None

    def asked(self, path: str):
        token = (self.folder / "secrets/olga.token").read_text().strip()
        return urllib.request.Request(f"{self.url('ripcord')}/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})

    def golden(self) -> dict:
        """The golden set's answers as they are now: the version that answered, and the share that is right."""
        right, rows, versions = 0, 0, set()
        for line in (self.folder / "golden/fraud.jsonl").read_text().splitlines():
            row = json.loads(line)
            body = json.dumps({"inputs": row["inputs"]}).encode()
            request = urllib.request.Request(
                f"{self.url('mlserver')}/v2/models/fraud/infer", data=body, headers={"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                said = json.load(answer)
            rows += 1
            right += said["outputs"][0]["data"][0] == row["expected"]
            versions.add(said["model_version"])
        return {"versions": sorted(versions), "accuracy": right / rows, "rows": rows}

    def alias(self) -> str:
        query = "registered-models/alias?name=fraud&alias=champion"
        with urllib.request.urlopen(f"{self.url('mlflow')}/api/2.0/mlflow/{query}", timeout=10) as answer:
            return json.load(answer)["model_version"]["version"]


def prepare(stack: Stack):
    folder = stack.folder
    for below in ["logs", "secrets", "golden", "models", "artifacts"]:
        (folder / below).mkdir(parents=True)
    for name in ["prometheus.yml", "rules.yml", "alertmanager.yml", "ripcord.toml", "probe.json"]:
        text = (HERE / name).read_text()
        for port, chosen in stack.ports.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{chosen}")
        (folder / name).write_text(text)
    for name in ["ada", "bob", "olga", "alertmanager"]:
        path = folder / "secrets" / f"{name}.token"
        path.touch(0o600)
        path.write_text(secrets.token_hex(32))
    settings = {
        "host": "127.0.0.1", "http_port": stack.port("mlserver"), "grpc_port": stack.port("grpc"),
        "metrics_port": stack.port("mlserver-metrics"), "parallel_workers": 0,
    }
    (folder / "models/settings.json").write_text(json.dumps(settings))


def start_servers(stack: Stack):
    folder = stack.folder
    say("starting MLflow, MLServer, Prometheus and Alertmanager")
    stack.start(
        "mlflow", args.mlflow, "server", "--host", "127.0.0.1", "--port", stack.port("mlflow"), "--workers", 1,
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", folder / "artifacts", "--serve-artifacts",
        env={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )
    stack.start("mlserver", args.mlserver, "start", ".", cwd=folder / "models")
    stack.start(
        "alertmanager", "prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alertmanager",
        f"--web.listen-address=127.0.0.1:{stack.port('alertmanager')}", "--cluster.listen-address=",
    )
    stack.start(
        "prometheus", "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus",
        f"--web.listen-address=127.0.0.1:{stack.port('prometheus')}",
    )
    for name, page in {"mlflow": "health", "mlserver": "v2/health/ready", "alertmanager": "-/ready", "prometheus": "-/ready"}.items():
        stack.until(f"{name} did not answer", lambda: stack.answers(f"{stack.url(name)}/{page}"))


def train(stack: Stack):
    say("training: a good version, and one on labels of a bad import that looks as good")
    good = stack.team("train.py", "--mlflow", stack.url("mlflow"))
    bad = stack.team("train.py", "--mlflow", stack.url("mlflow"), "--poisoned", "--seed", 2)
    stack.team("golden.py", stack.folder / "golden/fraud.jsonl")
    return good, bad


def play(stack: Stack) -> dict:
    prepare(stack)
    start_servers(stack)
    good, bad = train(stack)
    stack.deploy(good)
    stack.deploy(bad)
    say("timing the team's own script for the way back")
    script = []
    for _ in range(SCRIPT_RUNS):
        script.append(stack.deploy(good)["milliseconds"])
        stack.deploy(bad)
    stack.deploy(good)

    stack.start(
        "traffic", stack.python, HERE / "traffic.py", "--mlserver", stack.url("mlserver"), "--rate", 50,
        "--log", "requests.jsonl", "--metrics-port", stack.port("traffic"),
    )
    stack.start("ripcord", args.ripcord, "serve")
    stack.until("ripcord did not answer", lambda: stack.answers(f"{stack.url('ripcord')}/readyz"))
    say(f"Ripcord protects {SERVICE} at {stack.url('ripcord')}; olga vouches for version {good}")
    stack.ripcord("adopt", SERVICE, "--reason", "served well for two weeks")
    time.sleep(5)

    say(f"the team promotes version {bad}: alias, folder, load")
    promoted = time.time()
    stack.deploy(bad)
    during = stack.golden()
    say("good customers are being declined; Prometheus' rule watches the truth that comes back")
    incident = stack.until("no incident was opened", stack.incident)["id"]
    say(f"Alertmanager called, and the trigger confirmed it: {incident}")
    stack.until("no plan was made", lambda: stack.incident()["phase"] in ("waiting for approval", "settled"))
    for who in ["ada", "bob"]:
        stack.ripcord("approve", incident, "--yes", "--reason", "the plan is as expected", who=who)
        say(f"{who} approved")
    settled = stack.until("it was not settled", stack.ended)
    if settled["needs"]:
        raise SystemExit(f"{incident} {settled['needs']}")
    after = stack.golden()
    return {
        "incident": incident, "outcome": settled["outcome"], "promoted_at_unix": round(promoted, 3),
        "alias": stack.alias(), "expected": good, "golden": {"during": during, "after": after},
        "script_milliseconds": script, "view": stack.ripcord("incidents", "show", incident),
    }


def report(stack: Stack, result: dict):
    shown = subprocess.run(
        [args.ripcord, "--token-file", "secrets/olga.token", "incidents", "show", result["incident"]],
        cwd=stack.folder, capture_output=True, text=True, check=False,
    )
    print(shown.stdout)
    for when, what in {"before the rollback": "during", "after it": "after"}.items():
        golden = result["golden"][what]
        print(f"golden set {when}: {golden['accuracy']:.3f} of {golden['rows']} right, answered by version {', '.join(golden['versions'])}")
    print(f"alias `champion`: version {result['alias']}")
    script = sorted(result["script_milliseconds"])
    print(f"the team's own script, from a version to its first answer: {statistics.median(script):.0f} ms (of {len(script)}, {script[0]:.0f} to {script[-1]:.0f})")


def main():
    folder = args.dir.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"`{folder}` is not empty: give another folder")
    for tool in ["prometheus", "prometheus-alertmanager"]:
        if not shutil.which(tool):
            raise SystemExit(f"`{tool}` is not installed: apt-get install prometheus prometheus-alertmanager")
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    stack = Stack(folder)
    try:
        result = play(stack)
        if args.json:
            print(json.dumps(result))
        else:
            report(stack, result)
        if args.keep:
            say(f"everything goes on until ctrl-c; its folder is {folder}")
            signal.pause()
    finally:
        stack.stop()
    served, alias = result["golden"]["after"]["versions"], result["alias"]
    if result["outcome"] != "rolled-back" or served != [result["expected"]] or alias != result["expected"]:
        raise SystemExit(f"it did not end as it should: {result['outcome']}, served {served}, alias {alias}")


if __name__ == "__main__":
    main()
