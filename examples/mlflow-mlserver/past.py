"""The application over days that have passed: sends transactions through the model that is live, dates the decisions in those days, and learns the
truth about each two to five days after it, when a customer complains or a bank charges back.

Appends to the request log, as `traffic.py` does, and to a file of truths."""

import argparse
import datetime
import http.client
import json
import random
import urllib.parse

import model

HOUR = 3600
TRUTH_DAYS = (2, 5)
# What nobody ever hears of again.
NEVER = 0.02

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--mlserver", required=True, metavar="URL")
parser.add_argument("--since", type=int, required=True, metavar="UNIX_SECONDS")
parser.add_argument("--until", type=int, required=True, metavar="UNIX_SECONDS")
parser.add_argument("--an-hour", type=int, default=20, metavar="DECISIONS")
parser.add_argument("--log", required=True, metavar="FILE", help="the request log, one JSON line a decision")
parser.add_argument("--truth", required=True, metavar="FILE", help="one JSON line for each decision whose truth is known one day")
args = parser.parse_args()

connection = http.client.HTTPConnection(urllib.parse.urlsplit(args.mlserver).netloc, timeout=30)
rng = random.Random(args.since)
with open(args.log, "a") as log, open(args.truth, "a") as truths:
    for hour in range(args.since, args.until, HOUR):
        for number in range(args.an_hour):
            at = hour + number * HOUR // args.an_hour
            row = model.transaction(rng)
            body = {"id": f"d-{at}", "inputs": model.inputs([row])}
            connection.request("POST", "/v2/models/fraud/infer", json.dumps(body), {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
            day = datetime.datetime.fromtimestamp(at, datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            line = {"at": day, "model": "fraud", "version": answer["model_version"], **body, "outputs": answer["outputs"]}
            log.write(json.dumps(line) + "\n")
            fraud = model.is_fraud(row, rng)
            if rng.random() >= NEVER:
                known = at + int(rng.uniform(*TRUTH_DAYS) * 24 * HOUR)
                truths.write(json.dumps({"id": body["id"], "fraud": fraud, "known_at": known}) + "\n")
