"""Takes MLflow, MLServer and Prometheus away, at the start of an incident and half-way: what the on-call person reads, and how it ends.

A system is down (killed, started again on the same port) or hangs (stopped, and let go on). Each time `ripcord status` and `ripcord incidents show` say in one
sentence which system does not answer, what waits for it, since when and until when. When it is back the incident goes on by itself; when its time is
up first, a person is asked. MLflow is not needed for the way back: the good version and the last list are kept at hand."""

import json
import re
import shutil
import statistics
import threading
import time

import kills
import kit
import race
from kit import SERVICE, Stack, say

NAMES = {"mlflow": "MLflow", "mlserver": "model server", "prometheus": "Prometheus"}
INSTANT = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ"
# Seconds for each step while a system is away; the configuration files of a team leave hours.
SHORT = {"evidence": 3, "planning": 60, "stage": 60, "read-back": 60, "verification": 60, "no-data": 60}
TIGHT = {**SHORT, "planning": 4, "stage": 4, "read-back": 4, "verification": 8, "no-data": 4}
MLFLOW = {"up": "MLflow answers", "down": "MLflow is down", "hangs": "MLflow hangs"}
# With MLflow in each of these states.
ROUNDS = 3
# So many milliseconds longer may the way back take while MLflow is away. Waiting for one call to it alone takes longer: `deadline-ms` below.
LONGER_MAX = 1500
# Which system, how, when, and what waits for it then.
CASES = [
    ("mlflow", "down", "half-way", "moving the registry's production name"),
    ("mlserver", "hangs", "start", "preserving evidence|making a plan"),
    ("mlserver", "down", "half-way", "verifying version|reading back version|the shift to version"),
    ("prometheus", "down", "start", "judging its signals"),
    ("prometheus", "hangs", "half-way", "verifying version"),
]
# What asks a person once the time is up, and what it says.
LATE = [
    # The list is at hand again by then, the artefact is not.
    ("mlflow", "start", "its artefact could not be fetched in time"),
    ("mlserver", "start", "waiting for approval: what is live cannot be read"),
    ("prometheus", "half-way", "verification stayed inconclusive"),
]


def configure(stack: Stack, seconds: dict):
    """`act.toml` with other deadlines, and with patience that fits them."""
    text = (stack.folder / "act.toml").read_text()
    keys = "".join(f"{name}-seconds = {value}\n" for name, value in seconds.items())
    text = text.replace("[services.fraud-api.deadlines]\n", f"[services.fraud-api.deadlines]\n{keys}")
    text = text.replace('alias = "champion"\n', 'alias = "champion"\npatience-ms = 2000\ndeadline-ms = 2000\n')
    text = text.replace('probe-input-file = "probe.json"\n', 'probe-input-file = "probe.json"\ndeadline-ms = 2000\n')
    text = text.replace('output = "predict"\n', 'output = "predict"\ndeadline-ms = 2000\n', 1)
    # A server that restarts is not yet an unhealthy version.
    text = text.replace("accuracy = 0.9\n", 'accuracy = 0.9\ngrace = "60s"\n')
    (stack.folder / "down.toml").write_text(text)


def away(stack: Stack, system: str, how: str):
    stack.hang(system) if how == "hangs" else stack.kill(system)


def back(stack: Stack, system: str, how: str):
    if how == "hangs":
        stack.go_on(system)
    else:
        stack.start(system)
    stack.ready(system)


def sentences(stack: Stack) -> list[str]:
    """What `ripcord status` says of systems that do not answer."""
    text = " ".join(stack.run_ripcord("status", json_form=False, codes=(0, 1, 3)).split())
    return re.findall(rf"([\w: .]+? has not answered since {INSTANT}: .+? waits for it (?:until {INSTANT}, then .+?|for as long as it takes)) \(", text)


def told(stack: Stack, system: str, waits: str, before: int) -> str:
    """The sentence that names the system and what waits for it, from both commands where there is an incident."""
    wanted = re.compile(rf"{NAMES[system]} has not answered since {INSTANT}: (?:{waits}).*")

    def look():
        found = [match.group() for match in map(wanted.search, sentences(stack)) if match]
        return found[0] if found else None

    said = stack.until(f"nothing was said of {NAMES[system]}", look, patience=45)
    incident = stack.incident()
    if incident and kills.number(incident) > before and incident["phase"] not in ("settled", "waiting for approval"):
        page = stack.run_ripcord("incidents", "show", incident["id"], json_form=False)
        if "held up:" not in page and stack.incident()["phase"] == incident["phase"]:
            raise SystemExit(f"`incidents show` does not say what holds it up:\n{page}")
    return said


def traffic_goes_on(stack: Stack):
    if "traffic" not in stack.children or stack.children["traffic"].poll() is not None:
        stack.start("traffic")


def begin(stack: Stack, bad: str) -> int:
    # Before the harm: a trigger that still watches opens the incident by itself.
    before = kills.number(stack.incident())
    kills.make_bad(stack, bad)
    return before


def start_incident(stack: Stack):
    began = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.monotonic_ns() % 10**6:06}Z"
    threading.Thread(target=kills.send, args=(stack, began), daemon=True).start()


def half_way(stack: Stack, system: str, before: int):
    """Waits for the moment: MLflow as soon as the shift was made, MLServer and Prometheus when verification has begun."""
    wanted = "shifting" if system == "mlflow" else "verifying"
    kills.seen(stack, before, wanted)


def goes_on(stack: Stack, good: str, bad: str, case) -> dict:
    system, how, when, waits = case
    before = begin(stack, bad)
    if when == "start":
        away(stack, system, how)
    start_incident(stack)
    if when == "half-way":
        half_way(stack, system, before)
        away(stack, system, how)
    said = told(stack, system, waits, before)
    say(f"{system} {how} {when}: {said}")
    back(stack, system, how)
    ended = stack.until("it was not settled", lambda: kills.settled(stack, before))
    stack.until("the alias was not moved", lambda: stack.alias() == good, patience=60)
    served = stack.golden()["versions"]
    if ended["outcome"] != "rolled-back" or served != [good]:
        raise SystemExit(f"{case}: it did not go on: {json.dumps(ended)}, served {served}")
    if left := sentences(stack):
        raise SystemExit(f"{case}: it is back, and still: {left}")
    return {"system": system, "how": how, "when": when, "said": said, "end": ended["outcome"]}


def way_back(stack: Stack, good: str, bad: str, how: str) -> dict:
    """One incident while MLflow is `up`, is `down` or `hangs`. The whole way back is gone without it: only its alias waits for it."""
    before = begin(stack, bad)
    if how != "up":
        away(stack, "mlflow", how)
    start_incident(stack)
    ended = stack.until(f"it was not settled while {MLFLOW[how]}", lambda: kills.settled(stack, before))
    served = stack.golden()["versions"]
    if ended["outcome"] != "rolled-back" or served != [good]:
        raise SystemExit(f"{MLFLOW[how]}: {json.dumps(ended)}, served {served}")
    said = ""
    if how != "up":
        said = told(stack, "mlflow", "moving the registry's production name", before)
        back(stack, "mlflow", how)
    stack.until("the alias was not moved", lambda: stack.alias() == good, patience=60)
    measured = stack.ripcord("incidents", "show", ended["id"])["measured"]
    took = int(measured["total"]) / 1000
    say(f"{MLFLOW[how]}: {took:.0f} ms from the alert to the restored answer")
    return {"system": "mlflow", "how": how, "when": "start", "said": said, "end": ended["outcome"], "took": took, "measured": measured}


def ways_back(stack: Stack, good: str, bad: str) -> dict:
    """In turn, so that all have the same machine."""
    runs = {how: [] for how in MLFLOW}
    for _ in range(ROUNDS):
        for how, all_of_it in runs.items():
            all_of_it.append(way_back(stack, good, bad, how))
    return runs


def too_late(stack: Stack, good: str, bad: str, case) -> dict:
    system, when, text = case
    before = begin(stack, bad)
    if when == "start":
        away(stack, system, "down")
    start_incident(stack)
    if when == "half-way":
        half_way(stack, system, before)
        away(stack, system, "down")

    def asked():
        incident = stack.incident()
        wants = incident and kills.number(incident) > before and (incident["needs"] or incident["wanted"])
        return wants and incident

    incident = stack.until("no person was asked", asked)
    page = " ".join(stack.run_ripcord("incidents", "show", incident["id"], json_form=False).split())
    # A plan that does not know what is live is for people.
    why = re.search(r"what is live cannot be read: .*?(?= \+\d|$)", page)
    needs = incident["needs"] or f"{incident['phase']}: {why.group() if why else ''}"
    say(f"{system} down {when}, too long: {needs}")
    if text not in needs:
        raise SystemExit(f"{case}: another sentence:\n{page}")
    back(stack, system, "down")
    stack.deploy(good)
    # First the harm ends: another version is live, so what is still seen of it then would be a new reason.
    stack.until("the harm did not end", lambda: not race.harm(stack))
    # A plan that nobody has approved may have been withdrawn by then.
    if (left := stack.service()["incident"]) and left["id"] == incident["id"]:
        stack.ripcord("dismiss" if left["needs"] else "abort", incident["id"], "--reason", "settled by hand")
    for latch in stack.service()["latches"]:
        # A trigger that has no reason any more may have taken its latch away meanwhile.
        stack.run_ripcord("latch", "lift", SERVICE, latch["trigger"], "--reason", "the next case", codes=(0, 1))
    stack.until("a latch stays", lambda: not stack.service()["latches"])
    return {"system": system, "when": when, "asked": needs}


def play(stack: Stack) -> dict:
    kit.prepare(stack)
    configure(stack, SHORT)
    kit.start_servers(stack)
    good, bad = kit.train(stack)
    stack.deploy(bad)
    stack.deploy(good)
    kit.start_traffic(stack)
    stack.serve("down.toml")
    stack.ripcord("adopt", SERVICE, "--reason", "served well for two weeks")
    kept = stack.folder / "ripcord-act-data" / "kept"
    stack.until("the good version was not kept at hand", lambda: any((kept / "artefacts").iterdir()))
    stack.until("the registry's list was not kept at hand", lambda: any((kept / "lists").iterdir()), patience=120)
    took = ways_back(stack, good, bad)
    went_on = [goes_on(stack, good, bad, case) for case in CASES]
    stack.stop("ripcord")
    # What is kept at hand may be deleted at any time: then MLflow is needed.
    shutil.rmtree(kept)
    configure(stack, TIGHT)
    stack.serve("down.toml")
    stack.until("the registry's list was not kept at hand again", lambda: any((kept / "lists").iterdir()), patience=120)
    return {"took": took, "went_on": went_on, "asked": [too_late(stack, good, bad, case) for case in LATE]}


def middle(runs) -> float:
    return statistics.median(run["took"] for run in runs)


def report(_stack, result: dict):
    for how, runs in result["took"].items():
        each = ", ".join(f"{run['took']:.0f}" for run in runs)
        print(f"{MLFLOW[how]}: {middle(runs):.0f} ms from the alert to the restored answer (of {each})")
    for case in result["went_on"]:
        print(f"{case['system']} {case['how']}, {case['when']}: {case['end']}\n  {case['said']}")
    for case in result["asked"]:
        print(f"{case['system']} down, {case['when']}, until its time was up: a person was asked\n  {case['asked']}")


def main():
    took = kit.tell(kit.parser(__doc__).parse_args(), play, report)["took"]
    for how in ("down", "hangs"):
        longer = middle(took[how]) - middle(took["up"])
        if longer > LONGER_MAX:
            raise SystemExit(f"{MLFLOW[how]}: the way back takes {longer:.0f} ms longer")


if __name__ == "__main__":
    main()
