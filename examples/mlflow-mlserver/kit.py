"""Starts, stops and asks the programs of this example: what its chapters share. A chapter is a script that plays one story on the stack."""

import argparse
import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
SERVICE = "fraud-api"
# Port in the files of this folder, and what listens there.
PORTS = {5000: "mlflow", 8080: "mlserver", 8081: "grpc", 8082: "mlserver-metrics", 8787: "ripcord", 9090: "prometheus", 9093: "alertmanager", 9108: "traffic"}
FILES = ["prometheus.yml", "rules.yml", "alertmanager.yml", "ripcord.toml", "act.toml", "late.toml", "probe.json"]
PATIENCE = 120


def parser(doc: str) -> argparse.ArgumentParser:
    """The arguments of every chapter."""
    it = argparse.ArgumentParser(description=doc)
    it.add_argument("--ripcord", required=True, metavar="PROGRAM")
    it.add_argument("--mlflow", required=True, metavar="PROGRAM")
    it.add_argument("--mlserver", required=True, metavar="PROGRAM")
    it.add_argument("--dir", required=True, type=Path, help="an empty folder for all that is written")
    it.add_argument("--free-ports", action="store_true", help="choose ports that nobody uses instead of the usual ones")
    it.add_argument("--keep", action="store_true", help="leave everything running at the end, until ctrl-c")
    it.add_argument("--json", action="store_true", help="print one JSON document at the end")
    return it


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Stack:
    def __init__(self, args):
        self.args, self.folder = args, args.dir.absolute()
        self.children, self.commands = {}, {}
        self.ports = {port: free_port() if args.free_ports else port for port in PORTS}
        self.config = "ripcord.toml"
        # The children run in the folder.
        self.programs = {tool: os.path.abspath(getattr(args, tool)) for tool in ["ripcord", "mlflow", "mlserver"]}
        self.python = Path(self.programs["mlflow"]).with_name("python")

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port(name)}"

    def port(self, name: str) -> int:
        return next(self.ports[port] for port, it in PORTS.items() if it == name)

    # The programs.

    def start(self, name: str, *command, env=None, cwd=None):
        """Starts a program; what was given the first time holds for every later start."""
        if command:
            self.commands[name] = ([str(part) for part in command], {**os.environ, **(env or {})}, cwd or self.folder)
        command, env, cwd = self.commands[name]
        with open(self.folder / "logs" / f"{name}.log", "ab") as log:
            self.children[name] = subprocess.Popen(
                command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def kill(self, name: str):
        """At once, without a chance to say goodbye."""
        child = self.children.pop(name)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def hang(self, name: str):
        """It keeps its connections and answers nothing, until `go_on`."""
        os.killpg(self.children[name].pid, signal.SIGSTOP)

    def go_on(self, name: str):
        os.killpg(self.children[name].pid, signal.SIGCONT)

    def stop(self, *names: str):
        """All of them, or those that are named."""
        chosen = [self.children.pop(name) for name in reversed(names or list(self.children)) if name in self.children]
        for child in chosen:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGCONT)
                os.killpg(child.pid, signal.SIGTERM)
        for child in chosen:
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()

    def until(self, what: str, done, patience=PATIENCE, pause=0.1):
        """What `done` gives once it gives something; a program that ended ends all."""
        since = time.monotonic()
        while True:
            for name, child in self.children.items():
                if child.poll() is not None:
                    raise SystemExit(f"{name} ended with {child.returncode}: read {self.folder / 'logs' / name}.log")
            with contextlib.suppress(OSError, http.client.HTTPException, LookupError, ValueError):
                found = done()
                if found:
                    return found
            if time.monotonic() - since > patience:
                raise SystemExit(f"{what} within {patience} s: read the logs in {self.folder / 'logs'}")
            time.sleep(pause)

    def answers(self, url: str):
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200

    def ready(self, name: str):
        pages = {"mlflow": "health", "mlserver": "v2/health/ready", "alertmanager": "-/ready", "prometheus": "-/ready", "ripcord": "readyz"}
        self.until(f"{name} did not answer", lambda: self.answers(f"{self.url(name)}/{pages[name]}"))

    # The team and its systems.

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

    # Ripcord.

    def serve(self, config=None):
        """Starts Ripcord, with the configuration file that is named or with the one before."""
        self.config = config or self.config
        self.start("ripcord", self.programs["ripcord"], "--config", self.config, "serve")
        self.ready("ripcord")

    def run_ripcord(self, *arguments, who="olga", json_form=True, codes=(0, 3)) -> str:
        """What a command prints; by default it may also end with 3: a person is waited for."""
        form = ["--json"] if json_form else []
        command = [self.programs["ripcord"], "--config", self.config, *form, "--token-file", f"secrets/{who}.token", *arguments]
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if ran.returncode not in codes:
            raise SystemExit(f"ripcord {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def ripcord(self, *arguments, who="olga", codes=(0, 3)):
        return json.loads(self.run_ripcord(*arguments, who=who, codes=codes))

    def asked(self, path: str):
        token = (self.folder / "secrets/olga.token").read_text().strip()
        return urllib.request.Request(f"{self.url('ripcord')}/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})

    def service(self) -> dict:
        with urllib.request.urlopen(self.asked(f"services/{SERVICE}"), timeout=5) as answer:
            return json.load(answer)

    def incident(self):
        service = self.service()
        return service["incident"] or service["last_settled"]

    def ended(self):
        """The incident, once nothing more happens by itself."""
        incident = self.incident()
        return incident if incident and (incident["needs"] or incident["phase"] == "settled") else None

    def agree(self, incident: str) -> dict:
        """Ada and Bob approve the plan as soon as there is one; the incident, settled."""
        self.until("no plan was made", lambda: self.incident()["phase"] in ("waiting for approval", "settled"))
        for who in ["ada", "bob"]:
            self.ripcord("approve", incident, "--yes", "--reason", "the plan is as expected", who=who)
            say(f"{who} approved")
        settled = self.until("it was not settled", self.ended)
        if settled["needs"]:
            raise SystemExit(f"{incident} {settled['needs']}")
        return settled


def prepare(stack: Stack):
    folder = stack.folder
    for below in ["logs", "secrets", "golden", "models", "artifacts"]:
        (folder / below).mkdir(parents=True)
    for name in FILES:
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
        "mlflow", stack.programs["mlflow"], "server", "--host", "127.0.0.1", "--port", stack.port("mlflow"), "--workers", 1,
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", folder / "artifacts", "--serve-artifacts",
        env={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )
    stack.start("mlserver", stack.programs["mlserver"], "start", ".", cwd=folder / "models")
    stack.start(
        "alertmanager", "prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alertmanager",
        f"--web.listen-address=127.0.0.1:{stack.port('alertmanager')}", "--cluster.listen-address=",
    )
    stack.start(
        "prometheus", "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus",
        f"--web.listen-address=127.0.0.1:{stack.port('prometheus')}",
    )
    for name in ["mlflow", "mlserver", "alertmanager", "prometheus"]:
        stack.ready(name)


def start_traffic(stack: Stack, *more):
    stack.start(
        "traffic", stack.python, HERE / "traffic.py", "--mlserver", stack.url("mlserver"), "--rate", 50,
        "--log", "requests.jsonl", "--failures", "failures.jsonl", "--metrics-port", stack.port("traffic"), *more,
    )


def requests(stack: Stack) -> dict:
    """What became of the customers' requests so far: how many were answered by each version, and those that failed."""
    answered, failures = {}, []
    for line in (stack.folder / "requests.jsonl").read_text().splitlines():
        version = json.loads(line)["version"]
        answered[version] = answered.get(version, 0) + 1
    with contextlib.suppress(FileNotFoundError):
        failures = [json.loads(line) for line in (stack.folder / "failures.jsonl").read_text().splitlines()]
    return {"answered": answered, "failures": failures}


def train(stack: Stack):
    """The numbers of a good version and of a bad one."""
    say("training: a good version, and one on labels of a bad import that looks as good")
    good = stack.team("train.py", "--mlflow", stack.url("mlflow"))
    bad = stack.team("train.py", "--mlflow", stack.url("mlflow"), "--poisoned", "--seed", 2)
    stack.team("golden.py", stack.folder / "golden/fraud.jsonl")
    return good, bad


def tell(args, play, report):
    """Plays a chapter on a stack of its own: `play(stack)` gives its result, `report(stack, result)` prints it for people."""
    folder = args.dir.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"`{folder}` is not empty: give another folder")
    for tool in ["prometheus", "prometheus-alertmanager"]:
        if not shutil.which(tool):
            raise SystemExit(f"`{tool}` is not installed: apt-get install prometheus prometheus-alertmanager")
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    stack = Stack(args)
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
    return result
