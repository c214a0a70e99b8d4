"""Kills Ripcord at ten moments of an incident and starts it again: the same end each time, and the alias is moved once.

The moments are chosen at random, by the clock within what the incident takes undisturbed, and by phase. `--seed` repeats a choice. Ripcord talks to
MLflow through a recorder that counts each move of the alias that MLflow answered with success, so also one whose answer nobody was left to hear."""

import http.client
import http.server
import json
import random
import threading
import time
import urllib.parse

import kit
import race
from kit import SERVICE, Stack, say

KILLS = 10
PHASES = ["preserving evidence", "planning", "staging", "guarding", "shifting", "reading back", "verifying"]
# Verification goes on much longer than what comes before it: so many of the kills by the clock come before the answer.
EARLY = 0.7


class Recorder(http.server.ThreadingHTTPServer):
    """Passes everything on to MLflow, and counts moves of the alias."""

    daemon_threads = True

    def __init__(self, mlflow: str):
        super().__init__(("127.0.0.1", 0), Passing)
        self.mlflow, self.moves, self.lock = urllib.parse.urlsplit(mlflow).netloc, [], threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """Whoever asked is dead: nothing to say."""


class Passing(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        there = http.client.HTTPConnection(self.server.mlflow, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        there.request(self.command, self.path, body, headers)
        answer = there.getresponse()
        text = answer.read()
        there.close()
        if self.command == "POST" and self.path.endswith("registered-models/alias") and answer.status == 200:
            with self.server.lock:
                self.server.moves.append(json.loads(body)["version"])
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "server", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = do_PATCH = handle_any

    def log_message(self, *_):
        pass


def make_bad(stack: Stack, bad: str):
    """The bad version is live and does harm, and no hold is in its way."""
    race.lift(stack, bad)
    race.do_harm(stack, bad)


def send(stack: Stack, began: str):
    """As Alertmanager: again and again until it is taken."""
    deadline = time.monotonic() + kit.PATIENCE
    while time.monotonic() < deadline:
        try:
            race.alert(stack, began=began)
            return
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
    raise SystemExit("Ripcord took no alert")


def phase(stack: Stack, before: int) -> str:
    """Of the incident that was opened after so many; nothing before it is."""
    incident = stack.incident()
    return incident["phase"] if incident and number(incident) > before else ""


def number(incident) -> int:
    return int(incident["id"].rpartition(":")[2]) if incident else 0


def settled(stack: Stack, before: int):
    ended = stack.ended()
    return ended if ended and number(ended) > before else None


def seen(stack: Stack, before: int, wanted: str) -> str:
    """The phase that was seen first of `wanted` and those after it; a short one may be missed."""
    later = PHASES[PHASES.index(wanted):] + ["settled"]
    def look():
        now = phase(stack, before)
        return now if now in later else None
    return stack.until(f"it was not {wanted}", look, pause=0.0005)


def one(stack: Stack, recorder: Recorder, good: str, bad: str, moment) -> dict:
    """One incident, with Ripcord killed at `moment`: seconds after the alert, a phase, or not at all."""
    make_bad(stack, bad)
    before, moves = number(stack.incident()), len(recorder.moves)
    began = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{random.randrange(10**6):06}Z"
    since = time.monotonic()
    sender = threading.Thread(target=send, args=(stack, began), daemon=True)
    sender.start()
    at = None
    if isinstance(moment, float):
        time.sleep(max(0.0, since + moment - time.monotonic()))
    elif moment:
        at = seen(stack, before, moment)
    if moment is not None:
        killed = time.monotonic() - since
        stack.kill("ripcord")
        stack.serve()
        say(f"  killed {killed:.3f} s after the alert" + (f", {at}" if at else "") + f"; back after {time.monotonic() - since - killed:.1f} s")
    sender.join(kit.PATIENCE)
    answer = stack.until("the good version did not answer", lambda: stack.golden()["versions"] == [good] and time.monotonic() - since)
    ended = stack.until("it was not settled", lambda: settled(stack, before))
    stack.until("the alias was not moved", lambda: stack.alias() == good, patience=30)
    view = stack.ripcord("incidents", "show", ended["id"])
    result = {
        "moment": moment, "incident": ended["id"], "opened": number(ended) - before, "outcome": ended["outcome"], "needs": ended["needs"],
        "served": stack.golden()["versions"], "alias": stack.alias(), "alias_moves": recorder.moves[moves:], "read_back": view["after"],
        "answer_seconds": answer, "seconds": time.monotonic() - since, "seen": view["measured"] and view["measured"]["seen"],
    }
    end = (result["opened"], result["outcome"], result["served"], result["alias"], result["alias_moves"], result["read_back"])
    if end != (1, "rolled-back", [good], good, [good], good):
        raise SystemExit(f"it did not end as without a kill: {json.dumps(result)}")
    return result


def choose(rng: random.Random, kills: int, answer: float, whole: float) -> list:
    """Half by the clock, half by phase."""
    by_clock = [rng.uniform(0, answer) if rng.random() < EARLY else rng.uniform(answer, whole) for _ in range(kills // 2)]
    by_phase = [rng.choice(PHASES) for _ in range(kills - len(by_clock))]
    moments = by_clock + by_phase
    rng.shuffle(moments)
    return moments


def play(stack: Stack) -> dict:
    kit.prepare(stack)
    kit.start_servers(stack)
    good, bad = kit.train(stack)
    recorder = Recorder(stack.url("mlflow"))
    config = stack.folder / "act.toml"
    config.write_text(config.read_text().replace(stack.url("mlflow"), f"http://127.0.0.1:{recorder.server_port}"))
    stack.deploy(bad)
    stack.deploy(good)
    kit.start_traffic(stack)
    stack.serve("act.toml")
    stack.ripcord("adopt", SERVICE, "--reason", "served well for two weeks")
    undisturbed = one(stack, recorder, good, bad, None)
    say(f"undisturbed: answer after {undisturbed['answer_seconds']:.2f} s, settled after {undisturbed['seconds']:.2f} s")
    seed = stack.args.seed if stack.args.seed is not None else random.randrange(2**32)
    say(f"seed {seed}")
    runs = []
    for moment in choose(random.Random(seed), stack.args.kills, undisturbed["answer_seconds"], undisturbed["seconds"]):
        runs.append(one(stack, recorder, good, bad, moment))
        say(f"{len(runs)} of {stack.args.kills}: {moment if isinstance(moment, str) else f'{moment:.3f} s'}: rolled back, alias moved once")
    return {"seed": seed, "undisturbed": undisturbed, "kills": runs}


def report(_stack, result: dict):
    for run in result["kills"]:
        moment = run["moment"] if isinstance(run["moment"], str) else f"{run['moment']:.3f} s"
        print(f"killed at {moment:20} {run['incident']}: {run['outcome']}, served {run['served'][0]}, alias {run['alias']}, moved {len(run['alias_moves'])} time")
    print(f"the same end {len(result['kills'])} times; `--seed {result['seed']}` repeats the moments")


def main():
    parser = kit.parser(__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int)
    kit.tell(parser.parse_args(), play, report)


if __name__ == "__main__":
    main()
