"""Starts everything, lets the bad version be promoted, and waits until Ripcord has brought the good one back.

Ends with what `ripcord incidents show` prints, the golden set's results before and after, what became of the customers' requests, and how long
the team's own script takes for the same way back, measured beside it."""

import statistics
import time

import kit
from kit import SERVICE, Stack, say

SCRIPT_RUNS = 5


def play(stack: Stack) -> dict:
    kit.prepare(stack)
    kit.start_servers(stack)
    good, bad = kit.train(stack)
    stack.deploy(good)
    stack.deploy(bad)
    say("timing the team's own script for the way back")
    script = []
    for _ in range(SCRIPT_RUNS):
        script.append(stack.deploy(good)["milliseconds"])
        stack.deploy(bad)
    stack.deploy(good)

    kit.start_traffic(stack)
    stack.serve()
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
    settled = stack.agree(incident)
    after = stack.golden()
    view = stack.ripcord("incidents", "show", incident)
    return {
        "incident": incident, "outcome": settled["outcome"], "promoted_at_unix": round(promoted, 3),
        "alias": stack.alias(), "expected": good, "golden": {"during": during, "after": after},
        "requests": kit.requests(stack), "script_milliseconds": script, "view": view,
    }


def report(stack: Stack, result: dict):
    print(stack.run_ripcord("incidents", "show", result["incident"], json_form=False))
    for when, what in {"before the rollback": "during", "after it": "after"}.items():
        golden = result["golden"][what]
        print(f"golden set {when}: {golden['accuracy']:.3f} of {golden['rows']} right, answered by version {', '.join(golden['versions'])}")
    print(f"alias `champion`: version {result['alias']}")
    for version, number in sorted(result["requests"]["answered"].items()):
        print(f"requests answered by version {version}: {number}")
    print(f"requests that failed, through promotion and rollback: {len(result['requests']['failures'])}")
    script = sorted(result["script_milliseconds"])
    print(f"the team's own script, from a version to its first answer: {statistics.median(script):.0f} ms (of {len(script)}, {script[0]:.0f} to {script[-1]:.0f})")


def main():
    result = kit.tell(kit.parser(__doc__).parse_args(), play, report)
    served, alias = result["golden"]["after"]["versions"], result["alias"]
    read_back, expected = result["view"]["after"], result["expected"]
    if result["outcome"] != "rolled-back" or {*served, alias, read_back} != {expected}:
        raise SystemExit(f"it did not end as it should: {result['outcome']}, served {served}, read back {read_back}, alias {alias}")
    # The bad version answers every request, wrongly; so none may fail.
    if failures := result["requests"]["failures"]:
        raise SystemExit(f"{len(failures)} requests failed: {failures[:5]}")


if __name__ == "__main__":
    main()
