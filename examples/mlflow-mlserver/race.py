"""Ripcord against the script that a team would write: how long each takes from the alert until the good version answers, and where the time goes.

Both take turns on one stack. The clock runs from the alert's POST (the script's start) until the model server's first answer by the good version; it
is asked all the time. Ripcord does more on the way: it confirms the alert, preserves evidence, makes and records a plan, reads back what answers."""

import http.client
import json
import re
import statistics
import threading
import time
import urllib.parse
import urllib.request
from datetime import datetime, timezone

import kit
from kit import SERVICE, Stack, say

RUNS = 7
# Ripcord's own share in a release build, in milliseconds.
OWN_MAX = 100
# How often Ripcord may wait for the disk between the alert and the read-back.
FLUSHES_MAX = 6
# What Ripcord may ask MLflow before the good version answers: what is in production, what it says of the version that is live, the list of versions
# and their aliases; and a look of its watch that falls into that moment. What hangs on the versions is known, and the artefact is kept at hand.
MLFLOW_REQUESTS_MAX = 6


class Watcher(threading.Thread):
    """Asks the model server over and over who answers, until it is the version wanted."""

    def __init__(self, stack: Stack, version: str):
        super().__init__(daemon=True)
        self.address, self.version = ("127.0.0.1", stack.port("mlserver")), version
        row = json.loads((stack.folder / "golden/fraud.jsonl").read_text().splitlines()[0])
        self.body, self.at, self.over = json.dumps({"inputs": row["inputs"]}), None, False

    def run(self):
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        while not self.over:
            try:
                connection.request("POST", "/v2/models/fraud/infer", self.body, {"Content-Type": "application/json"})
                answer = json.loads(connection.getresponse().read())
            except (OSError, http.client.HTTPException, ValueError):
                connection.close()
                continue
            if answer.get("model_version") == self.version:
                self.at = time.monotonic()
                return
            # More would slow down what is measured.
            time.sleep(0.001)


def alert(stack: Stack, status="firing", name="DeclinedGoodCustomers", began=None) -> float:
    """POSTs what Alertmanager would send; when."""
    began = began or datetime.now(timezone.utc).isoformat()
    one = {
        "status": status, "labels": {"alertname": name, "service": SERVICE, "severity": "critical"}, "annotations": {},
        "startsAt": began, "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": f"{abs(hash(began)):016x}"[:16],
    }
    body = {
        "version": "4", "groupKey": f"{{}}:{{alertname={name}}}", "truncatedAlerts": 0, "status": status, "receiver": "ripcord",
        "groupLabels": {"alertname": name}, "commonLabels": one["labels"], "commonAnnotations": {}, "externalURL": "", "alerts": [one],
    }
    token = (stack.folder / "secrets/alertmanager.token").read_text().strip()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"{stack.url('ripcord')}/hooks/alertmanager", data=json.dumps(body).encode(), headers=headers)
    at = time.monotonic()
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()
    return at


def harm(stack: Stack) -> bool:
    """Whether Prometheus has seen enough of it for the trigger, for long enough."""
    over = 'sum(rate(fraud_feedback_total{result="false_positive"}[3s])) / sum(rate(fraud_feedback_total[3s])) > 0.05'
    query = urllib.parse.urlencode({"query": f"count_over_time(({over})[2s:1s]) >= 2"})
    with urllib.request.urlopen(f"{stack.url('prometheus')}/api/v1/query?{query}", timeout=5) as answer:
        return bool(json.load(answer)["data"]["result"])


def do_harm(stack: Stack, bad: str):
    """The bad version is live, and does harm that is its own: what Prometheus still sees of the last time has ended before."""
    stack.until("the harm did not end", lambda: not harm(stack))
    stack.deploy(bad)
    stack.until("Prometheus saw no harm", lambda: harm(stack))


def lift(stack: Stack, version: str):
    """Lifts the hold of the last incident, so that the version can be deployed again."""
    for hold in stack.service()["holds"]:
        if hold["revision"] == version and hold["state"] != "lifted":
            stack.ripcord("hold", "lift", SERVICE, version, "--reason", "the next round")


def by_script(stack: Stack, good: str) -> dict:
    watcher = Watcher(stack, good)
    watcher.start()
    said = stack.deploy(good)
    watcher.join(kit.PATIENCE)
    # The program's start is the team's own affair: its clock begins when it is loaded.
    return {"whole": said["milliseconds"], "systems": said["systems_milliseconds"], "own": said["own_milliseconds"]}


class Requests:
    """What MLflow was asked from now on, by its own log."""

    def __init__(self, stack: Stack):
        self.path = stack.folder / "logs/mlflow.log"
        self.begin = self.path.stat().st_size

    def paths(self) -> list[str]:
        with self.path.open("rb") as log:
            log.seek(self.begin)
            return re.findall(r'"(?:GET|POST|PATCH|DELETE) (\S+) HTTP', log.read().decode(errors="replace"))


def by_ripcord(stack: Stack, good: str) -> dict:
    before = (stack.incident() or {}).get("id")
    requests = Requests(stack)
    watcher = Watcher(stack, good)
    watcher.start()
    began = alert(stack)
    watcher.join(kit.PATIENCE)
    asked = requests.paths()
    watcher.over = True
    if watcher.at is None:
        raise SystemExit(f"version {good} did not answer within {kit.PATIENCE} s: {json.dumps(stack.incident())}")

    def settled():
        ended = stack.ended()
        return ended if ended and ended["id"] != before else None

    ended = stack.until("it was not settled", settled)
    if ended["outcome"] != "rolled-back":
        raise SystemExit(f"it did not end as it should: {json.dumps(ended)}")
    view = stack.ripcord("incidents", "show", ended["id"])
    took = {name: int(view["measured"][name]) / 1000 for name in ["total", "systems", "own"]}
    flushes = int(view["measured"]["flushes"])
    return {
        "answer": (watcher.at - began) * 1000, **took, "flushes": flushes, "asked": asked,
        "measured": view["measured"], "incident": ended["id"],
    }


def counted(run: dict):
    """What no noise of the machine changes: how often the disk and MLflow were waited for."""
    if run["flushes"] > FLUSHES_MAX:
        raise SystemExit(f"{run['incident']}: {run['flushes']} flushes between the alert and the read-back: {FLUSHES_MAX} at most")
    asked = "\n".join(run["asked"])
    if len(run["asked"]) > MLFLOW_REQUESTS_MAX:
        raise SystemExit(f"{run['incident']}: MLflow was asked {len(run['asked'])} times on the way: {MLFLOW_REQUESTS_MAX} at most\n{asked}")
    if fetched := [path for path in run["asked"] if "/mlflow-artifacts/artifacts/" in path]:
        raise SystemExit(f"{run['incident']}: MLflow was asked for artefacts although they are at hand: {fetched}")


def race(stack: Stack, good: str, bad: str, runs: int) -> dict:
    """Runs both in turn. `good` is live at the beginning and at the end, and Ripcord serves with `act.toml`."""
    script, ripcord = [], []
    for number in range(runs):
        stack.deploy(bad)
        script.append(by_script(stack, good))
        lift(stack, bad)
        do_harm(stack, bad)
        ripcord.append(by_ripcord(stack, good))
        say(f"round {number + 1} of {runs}: script {script[-1]['whole']:.0f} ms, Ripcord {ripcord[-1]['answer']:.0f} ms")
    return {"script": script, "ripcord": ripcord}


def play(stack: Stack) -> dict:
    kit.prepare(stack)
    kit.start_servers(stack)
    good, bad = kit.train(stack)
    stack.deploy(bad)
    stack.deploy(good)
    kit.start_traffic(stack)
    stack.serve("act.toml")
    stack.ripcord("adopt", SERVICE, "--reason", "served well for two weeks")
    return race(stack, good, bad, stack.args.runs)


def middle(runs, name) -> float:
    return statistics.median(run[name] for run in runs)


def report(_stack, result: dict):
    script, ripcord = result["script"], result["ripcord"]
    print(f"from the alert until the good version answers, medians of {len(ripcord)} runs that took turns, in milliseconds:")
    print(f"  the team's script     {middle(script, 'whole'):6.1f}   systems {middle(script, 'systems'):6.1f}   own {middle(script, 'own'):6.1f}")
    print(f"  Ripcord, the answer   {middle(ripcord, 'answer'):6.1f}")
    print(f"  Ripcord, read back    {middle(ripcord, 'total'):6.1f}   systems {middle(ripcord, 'systems'):6.1f}   own {middle(ripcord, 'own'):6.1f}")
    for name, each in {"flushes": "flushes", "requests to MLflow": "asked"}.items():
        counts = [run[each] if each == "flushes" else len(run[each]) for run in ripcord]
        print(f"    {name} on the way: {', '.join(map(str, counts))}")
    for kind in ["each_system", "own_parts"]:
        names = sorted({part["name"] for run in ripcord for part in run["measured"][kind]})
        took = lambda run, name: sum(int(part["took"]) for part in run["measured"][kind] if part["name"] == name) / 1000
        parts = [f"{name} {statistics.median(took(run, name) for run in ripcord):.1f}" for name in names]
        print(f"    {kind.replace('_', ' ')}: {', '.join(parts)}")


def main():
    parser = kit.parser(__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--release", action="store_true", help=f"fail if Ripcord's own share is {OWN_MAX} ms or more")
    args = parser.parse_args()
    result = kit.tell(args, play, report)
    for run in result["ripcord"]:
        counted(run)
    own = middle(result["ripcord"], "own")
    if args.release and own >= OWN_MAX:
        raise SystemExit(f"Ripcord's own share is {own:.1f} ms")


if __name__ == "__main__":
    main()
