"""Starts Buildbot, a model server and Ripcord, has the team's builder deploy a good version and then a bad one, and goes back: Ripcord has the same builder deploy
the good one, follows the build, keeps its log, and believes what the server answers. Everything is on this machine.

Ends with what `ripcord incidents show` prints."""

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
REGISTER = HERE.parent / "registry-folder" / "register.py"
SERVICE, PATIENCE = "fraud-api", 180
PROBE = {"inputs": [{"name": "amount", "datatype": "FP64", "shape": [1], "data": [12.5]}]}


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def fetch(url: str, body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data=data, headers={"content-type": "application/json", **(headers or {})})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return json.load(answer)


class Stack:
    def __init__(self, ripcord: str, folder: Path):
        self.ripcord, self.folder, self.children = os.path.abspath(ripcord), folder.absolute(), {}
        self.ports = {name: free_port() for name in ["buildbot", "server", "host"]}
        self.buildbot, self.server, self.host = (f"http://127.0.0.1:{port}" for port in self.ports.values())

    def start(self, name: str, *command, folder=None, environment=None):
        with open(self.folder / f"{name}.log", "wb") as log:
            self.children[name] = subprocess.Popen(
                [str(part) for part in command], cwd=folder or self.folder, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )

    def stop(self):
        for child in reversed(self.children.values()):
            child.terminate()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def until(self, what: str, done):
        """What `done` gives once it gives something; a program that ended ends all."""
        since = time.monotonic()
        while time.monotonic() - since < PATIENCE:
            for name, child in self.children.items():
                if child.poll() is not None:
                    raise SystemExit(f"{name} ended with {child.returncode}:\n{(self.folder / f'{name}.log').read_text()[-2000:]}")
            try:
                if found := done():
                    return found
            except (OSError, LookupError, ValueError):
                pass
            time.sleep(0.2)
        raise SystemExit(f"{what} within {PATIENCE} s: read the logs in {self.folder}")

    def run(self, *arguments, form=("--json",)):
        command = [self.ripcord, "--config", "ripcord.toml", *form, "--token-file", "secrets/me.token", *arguments]
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        # It ends with 3 where a person is waited for.
        if ran.returncode not in (0, 3):
            raise SystemExit(f"ripcord {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return json.loads(ran.stdout) if form else ran.stdout

    def incident(self):
        token = (self.folder / "secrets/me.token").read_text().strip()
        service = fetch(f"{self.host}/api/v1/services/{SERVICE}", headers={"Authorization": f"Bearer {token}"})
        return service["incident"] or service["last_settled"]

    def serves(self) -> str:
        return fetch(f"{self.server}/v2/models/fraud/infer", PROBE)["model_version"]

    def builds(self) -> int:
        return fetch(f"{self.buildbot}/api/v2/buildsets?field=bsid")["meta"]["total"]

    def deploys(self, version: str):
        """The team's own way, by hand: what Ripcord does is the same script."""
        environment = {**os.environ, **self.environment(), "RIPCORD_VERSION": version, "RIPCORD_INCIDENT": "no incident", "RIPCORD_PLAN": "none"}
        subprocess.run([sys.executable, HERE / "deploy.py"], env={**environment, "CI_SCRIPT": str(self.folder / "deploy.py")}, check=True, stdout=subprocess.DEVNULL)

    def environment(self) -> dict:
        return {
            "CI_PORT": str(self.ports["buildbot"]), "CI_SCRIPT": str(self.folder / "deploy.py"), "CI_SERVER": self.server,
            "CI_PASSWORD_FILE": str(self.folder / "secrets/buildbot"),
        }


def prepare(stack: Stack):
    (stack.folder / "secrets").mkdir(parents=True)
    for name in ["me.token", "alertmanager.token", "buildbot"]:
        path = stack.folder / "secrets" / name
        path.touch(0o600)
        path.write_text(secrets.token_hex(32))
    for version, score in [("1", 0.1), ("2", 0.9)]:
        files = stack.folder / "trained" / version
        files.mkdir(parents=True)
        (files / "model.json").write_text(json.dumps({"version": version, "score": score}))
        command = [sys.executable, REGISTER, stack.folder / "registry", "fraud", version, files, "--created-at", f"2026-11-0{version}T00:00:00Z"]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    (stack.folder / "deploy.py").write_text((HERE / "deploy.py").read_text())
    text = (HERE / "ripcord.toml").read_text()
    moved = text.replace("127.0.0.1:8787", stack.host.removeprefix("http://")).replace("http://127.0.0.1:8010", stack.buildbot)
    moved = moved.replace("http://127.0.0.1:8080", stack.server).replace('mode = "observe"', 'mode = "ask"')
    (stack.folder / "ripcord.toml").write_text(moved)


def play(stack: Stack) -> dict:
    prepare(stack)
    programs = Path(sys.executable).parent
    subprocess.run([programs / "buildbot", "create-master", "-q", "master"], cwd=stack.folder, check=True)
    (stack.folder / "master" / "master.cfg").write_text((HERE / "master.cfg").read_text())
    say("starting Buildbot, with a worker of its own")
    twistd = [programs / "twistd", "--nodaemon", "--no_save", "--python", "buildbot.tac"]
    stack.start("buildbot", *twistd, folder=stack.folder / "master", environment=stack.environment())
    first = stack.folder / "registry" / "fraud" / "1" / "files" / "model.json"
    stack.start("server", sys.executable, HERE / "server.py", stack.ports["server"], first)
    stack.until("the model server did not answer", stack.serves)
    stack.until("Buildbot did not answer", lambda: stack.builds() is not None)
    stack.start("ripcord", stack.ripcord, "--config", "ripcord.toml", "serve")
    stack.until("Ripcord did not answer", lambda: urllib.request.urlopen(f"{stack.host}/readyz", timeout=5))
    say(f"Ripcord protects {SERVICE} at {stack.host}; somebody vouches for version 1")
    stack.run("adopt", SERVICE, "--reason", "served well for two weeks")
    say("the team deploys version 2, which is bad, and somebody pulls")
    stack.deploys("2")
    before = stack.serves()
    stack.run("pull", SERVICE, "--to", "1", "--reason", "good customers are being declined")
    # Whoever asks is enough here: no policy wants more.
    settled = stack.until("it was not settled", lambda: (it := stack.incident()) and (it["needs"] or it["phase"] == "settled") and it)
    incident = settled["id"]
    if settled["needs"]:
        raise SystemExit(f"{incident} {settled['needs']}\n{stack.run('incidents', 'show', incident, form=())}")
    logs = sorted((stack.folder / "data/pipelines").rglob("logs/*.json"))
    kept = [json.loads(path.read_text())["log"] for path in logs]
    return {"incident": incident, "outcome": settled["outcome"], "before": before, "after": stack.serves(), "builds": stack.builds(), "logs": kept}


def main():
    it = argparse.ArgumentParser(description=__doc__)
    it.add_argument("--ripcord", required=True, metavar="PROGRAM")
    it.add_argument("--dir", required=True, type=Path, help="an empty folder for all that is written")
    it.add_argument("--json", action="store_true", help="print one JSON document at the end")
    args = it.parse_args()
    if args.dir.exists() and any(args.dir.iterdir()):
        raise SystemExit(f"`{args.dir}` is not empty: give another folder")
    args.dir.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    stack = Stack(args.ripcord, args.dir)
    try:
        result = play(stack)
        shown = stack.run("incidents", "show", result["incident"], form=())
    finally:
        stack.stop()
    if args.json:
        print(json.dumps(result))
    else:
        print(shown)
        print(f"the server answered with version {result['before']}, and does with {result['after']}; Buildbot was asked for {result['builds']} build, whose log is kept:")
        print("\n".join(result["logs"]))
    good = result["outcome"] == "rolled-back" and result["after"] == "1" and result["builds"] == 1
    if not good or not any(f"for {result['incident']}" in log for log in result["logs"]):
        raise SystemExit(f"it did not end as it should: {result}")


if __name__ == "__main__":
    main()
