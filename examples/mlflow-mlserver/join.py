"""The team's nightly job: joins decisions with what became of them, by decision id, and gives Prometheus the counts with the time of the decisions.

An hour of decisions is written once, when all truths that come have come: five days later. Prometheus then answers what was so at that time, for every
rule that asks as of five days ago. (A truth that came later still would be missed; count those.)"""

import argparse
import collections
import datetime
import json
import subprocess
import tempfile
from pathlib import Path

HOUR, DAY = 3600, 24 * 3600
COMPLETE_AFTER = 5 * DAY

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--log", required=True, type=Path, metavar="FILE")
parser.add_argument("--truth", required=True, type=Path, metavar="FILE")
parser.add_argument("--night", required=True, type=int, metavar="UNIX_SECONDS", help="now; writes the 24 hours that became complete")
parser.add_argument("--blocks", required=True, type=Path, metavar="DIR", help="the folder in which Prometheus keeps its data")
args = parser.parse_args()


def outcome(decision: str, fraud: bool) -> str:
    if decision == "decline":
        return "true_positive" if fraud else "false_positive"
    return "false_negative" if fraud else "true_negative"


def seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def lines(path: Path):
    return map(json.loads, path.read_text().splitlines())


truths = {line["id"]: line["fraud"] for line in lines(args.truth) if line["known_at"] <= args.night}
until = args.night - COMPLETE_AFTER
counts, unknown = collections.Counter(), 0
for line in lines(args.log):
    at = seconds(line["at"])
    if not until - DAY <= at < until:
        continue
    fraud = truths.get(line["id"])
    if fraud is None:
        unknown += 1
        continue
    # A sample stands at the end of its hour: what it counts had happened by then.
    hour = int(at // HOUR + 1) * HOUR
    counts[hour, line["version"], outcome(line["outputs"][0]["data"][0], fraud)] += 1

results = ["true_positive", "false_positive", "false_negative", "true_negative"]
served = sorted({(hour, version) for hour, version, _ in counts})
text = ["# TYPE fraud_known_decisions gauge", "# HELP fraud_known_decisions Decisions of the hour before whose truth is known."]
for result in results:
    for version in sorted({version for _, version in served}):
        for hour in sorted(hour for hour, of in served if of == version):
            text.append(f'fraud_known_decisions{{result="{result}",version="{version}"}} {counts[hour, version, result]} {hour}')
if served:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as page:
        page.write("\n".join([*text, "# EOF", ""]))
        page.flush()
        subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", page.name, args.blocks],
            check=True, stdout=subprocess.DEVNULL,
        )
print(json.dumps({"hours": len(served), "joined": sum(counts.values()), "unknown": unknown}))
