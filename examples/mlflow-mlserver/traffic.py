"""The application in front of the model: sends transactions, writes its request log, and learns the truth about each a little later.

Serves its counters to Prometheus. The truth about a decision arrives after `--truth-after` seconds (weeks, in a real company)."""

import argparse
import collections
import datetime
import http.client
import http.server
import json
import random
import threading
import time
import urllib.parse

import model

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--mlserver", required=True, metavar="URL")
parser.add_argument("--rate", type=float, default=50, help="transactions a second")
parser.add_argument("--truth-after", type=float, default=1.0, metavar="SECONDS")
parser.add_argument("--log", required=True, metavar="FILE", help="the request log, one JSON line a request")
parser.add_argument("--failures", metavar="FILE", help="one JSON line a request that failed")
parser.add_argument("--metrics-port", type=int, required=True)
parser.add_argument("--seed", type=int, default=7)
args = parser.parse_args()

counters = collections.Counter()
lock = threading.Lock()


def count(name, **labels):
    text = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    with lock:
        counters[f"{name}{{{text}}}"] += 1


class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with lock:
            lines = [f"{series} {value}" for series, value in sorted(counters.items())]
        kinds = ["# TYPE fraud_feedback_total counter", "# TYPE fraud_requests_total counter"]
        body = "\n".join([*kinds, *lines, ""]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def now_text() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def note_failure(number: int, code: int, why: str, version):
    """`version`: the one that answered last."""
    if args.failures:
        with open(args.failures, "a") as file:
            file.write(json.dumps({"at": now_text(), "id": f"t-{number}", "code": code, "why": why[:200], "after_version": version}) + "\n")


def outcome(decision: str, fraud: bool) -> str:
    if decision == "decline":
        return "true_positive" if fraud else "false_positive"
    return "false_negative" if fraud else "true_negative"


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", args.metrics_port), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = urllib.parse.urlsplit(args.mlserver).netloc
    rng, waiting, connection, number, version = random.Random(args.seed), collections.deque(), None, 0, None
    start = time.monotonic()
    with open(args.log, "a", buffering=1) as log:
        while True:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, decision, fraud, by = waiting.popleft()
                count("fraud_feedback_total", result=outcome(decision, fraud), version=by)
            if number / args.rate > now - start:
                time.sleep(0.002)
                continue
            number += 1
            row = model.transaction(rng)
            body = {"id": f"t-{number}", "inputs": model.inputs([row])}
            try:
                connection = connection or http.client.HTTPConnection(address, timeout=5)
                connection.request("POST", "/v2/models/fraud/infer", json.dumps(body), {"Content-Type": "application/json"})
                response = connection.getresponse()
                text = response.read()
                code, why = response.status, text.decode(errors="replace")
            except (OSError, http.client.HTTPException) as error:
                connection, code, why = None, 0, repr(error)
            count("fraud_requests_total", code=code)
            if code != 200:
                note_failure(number, code, why, version)
                continue
            answer = json.loads(text)
            version, decision = answer["model_version"], answer["outputs"][0]["data"][0]
            line = {"at": now_text(), "model": "fraud", "version": version, **body, "outputs": answer["outputs"]}
            log.write(json.dumps(line) + "\n")
            waiting.append((now + args.truth_after, decision, model.is_fraud(row, rng), version))


main()
