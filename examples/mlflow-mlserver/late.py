"""Late labels: the truth about a decision is known only days after it. A version that was promoted days ago is found to do harm, and rolled back.

Plays ten days: transactions go through the real servers, and what is written of them is dated in those days. The version of the bad import is promoted
six and a half days before the end; the golden set knows established customers only, and its limit lets it pass. Each night the team's job joins what became
known, and Ripcord's schedule asks about five days ago."""

import json
from datetime import datetime
import time

import kit
from kit import SERVICE, Stack, say

HOUR, DAY = 3600, 24 * 3600
CONFIG = "late.toml"


def established_only(stack: Stack):
    """The golden set of a team that did not think of new customers."""
    path = stack.folder / "golden/fraud.jsonl"
    kept = [line for line in path.read_text().splitlines(keepends=True) if "account=established" in json.loads(line)["slices"]]
    path.write_text("".join(kept))


def live_through(stack: Stack, since: int, until: int):
    stack.team("past.py", "--mlserver", stack.url("mlserver"), "--since", since, "--until", until, "--log", "requests.jsonl", "--truth", "truth.jsonl")


def night(stack: Stack, at: int) -> dict:
    return json.loads(stack.team("join.py", "--log", "requests.jsonl", "--truth", "truth.jsonl", "--night", at, "--blocks", "prometheus"))


def play(stack: Stack) -> dict:
    kit.prepare(stack)
    kit.start_servers(stack)
    good, bad = kit.train(stack)
    established_only(stack)
    now = int(time.time()) // HOUR * HOUR
    began, promoted = now - 10 * DAY, now - 156 * HOUR

    stack.deploy(good)
    say(f"version {good} serves from {day(began)} on")
    live_through(stack, began, promoted)
    stack.serve(CONFIG)
    stack.ripcord("adopt", SERVICE, "--reason", "served well for two weeks")
    stack.deploy(bad)
    before = stack.golden()
    say(f"version {bad} is promoted on {day(promoted)}; {before['accuracy']:.0%} of the golden set is right")
    live_through(stack, promoted, now)

    say("night by night the team joins decisions and what became of them")
    joined = [night(stack, at) for at in range(began + 6 * DAY, now + 1, DAY)]
    # It reads new blocks once a minute: started anew, it reads them at once.
    stack.stop("prometheus")
    stack.start("prometheus")
    stack.ready("prometheus")

    incident = stack.until("no incident was opened", stack.incident)["id"]
    say(f"Ripcord's schedule asked about five days ago: {incident}")
    settled = stack.agree(incident)
    # Five days ago the bad version was live for five more days: that is not held against the good one.
    time.sleep(8)
    stack.stop("ripcord")
    return {
        "incident": incident, "outcome": settled["outcome"], "alias": stack.alias(), "expected": good, "bad": bad,
        "promoted_at_unix": promoted, "now_unix": now, "joined": joined, "golden": {"before": before, "after": stack.golden()},
        "incidents": stack.ripcord("incidents", "list"), "view": stack.ripcord("incidents", "show", incident),
        "decisions": stack.ripcord("replay", incident, codes=(0,)),
    }


def day(at: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def report(stack: Stack, result: dict):
    print(stack.run_ripcord("incidents", "show", result["incident"], json_form=False))
    print(f"joined: {sum(night['joined'] for night in result['joined'])} decisions in {len(result['joined'])} nights")
    print(f"alias `champion`: version {result['alias']}")


def expect(condition, what: str, seen=None):
    if not condition:
        raise SystemExit(f"it did not end as it should: {what}: {seen!r}")


def unix(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


def check(result: dict):
    """What must hold of the story, told by the record itself."""
    expect(result["outcome"] == "rolled-back", "the outcome", result["outcome"])
    served = result["golden"]["after"]["versions"]
    expect(served == [result["expected"]] and result["alias"] == result["expected"], "served and alias", (served, result["alias"]))
    opening = next(it for it in result["decisions"]["decisions"] if it["role"] == "trigger")
    ranges = [fact for fact in opening["facts"] if "MetricRange" in fact["request"]]
    expect(ranges, "the trigger read metrics", opening)
    then = unix(opening["at"]) - 5 * DAY
    for fact in ranges:
        expect(0 <= then - unix(fact["as-of"]) < 10, "facts as of five days before the decision", fact)
        expect(fact["missing"] is None, "facts that are there", fact)
        expect(f'version="{result["bad"]}"' in fact["request"]["MetricRange"]["query"], "of the version that is live", fact)
    harm_began = unix(result["view"]["opened_at"]) - int(result["view"]["split"]["detect"]) / 1000
    late_by = harm_began - result["promoted_at_unix"]
    expect(0 <= late_by < 12 * HOUR, "harm began when the version was promoted", late_by)
    expect(day(harm_began) in result["view"]["cause"], "the cause names the day", result["view"]["cause"])
    preflight = result["view"]["preflight"]
    expect("it fits" in preflight, "the target answered beside what is live before traffic moved", preflight)
    kept = [piece["name"] for piece in result["view"]["evidence"]]
    expect("request-log" in kept, "the decisions since then are kept as evidence", kept)
    expect(len(result["incidents"]) == 1, "what the bad version did is not held against the good one", result["incidents"])
    expect(all(it["result"] == "same" for it in result["decisions"]["decisions"]), "every decision replays", result["decisions"])


def main():
    check(kit.tell(kit.parser(__doc__).parse_args(), play, report))


if __name__ == "__main__":
    main()
