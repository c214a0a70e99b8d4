#!/usr/bin/env python3
"""A registry in a folder of archives: VERSION.tar.gz is a version, VERSION.held beside it marks one that must not be promoted.

Replace the bodies of `versions`, `fetch` and `mark` by your own registry's calls; what is printed and how it ends is what Ripcord reads.

    registry.py list FOLDER
    registry.py fetch FOLDER VERSION INTO [DIGEST]
    registry.py mark FOLDER VERSION held|lifted [INCIDENT]
"""

import json
import os
import re
import sys
import tarfile
from datetime import datetime, timezone
from pathlib import Path

SUFFIX = ".tar.gz"
NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._+:@-]{0,199}")
REFUSED, TRY_AGAIN = 64, 75


class Refused(Exception):
    """Nothing was done, and doing the same again would be refused again."""


def versions(folder: Path) -> list[dict]:
    """In any order; `version` and `created-at` are needed, the rest is what the registry knows."""
    listed = []
    for archive in folder.glob("*" + SUFFIX):
        version = archive.name.removesuffix(SUFFIX)
        if not NAME.fullmatch(version):
            continue
        created = datetime.fromtimestamp(archive.stat().st_mtime, timezone.utc)
        line = {"version": version, "created-at": created.isoformat(timespec="seconds"), "tags": {}}
        held = folder / f"{version}.held"
        if held.exists():
            line["tags"]["held-by"] = held.read_text()
        listed.append(line)
    return listed


def fetch(folder: Path, version: str, into: Path) -> None:
    """Puts the artefact's files, and nothing else, into the folder. Ripcord computes the digest and compares it with the pinned one."""
    try:
        archive = tarfile.open(folder / (version + SUFFIX))
    except FileNotFoundError:
        raise Refused(f"there is no archive of {version}") from None
    with archive:
        archive.extractall(into, filter="data")


def mark(folder: Path, version: str, state: str, incident: str) -> None:
    """Doing it twice is the same as doing it once."""
    held = folder / f"{version}.held"
    if state == "lifted":
        held.unlink(missing_ok=True)
        return
    new = folder / f".{version}.new"
    new.write_text(incident)
    os.replace(new, held)


def main(what: str, folder: str, *rest: str) -> None:
    if rest and not NAME.fullmatch(rest[0]):
        raise Refused(f"`{rest[0]}` cannot be a version")
    match what, *rest:
        case ["list"]:
            json.dump(versions(Path(folder)), sys.stdout)
        case ["fetch", version, into, *_digest]:
            fetch(Path(folder), version, Path(into))
        case ["mark", version, ("held" | "lifted") as state, *incident]:
            mark(Path(folder), version, state, "".join(incident))
        case _:
            raise Refused(f"{what} is neither list, fetch nor mark, or its arguments are wrong")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Refused as why:
        print(why, file=sys.stderr)
        sys.exit(REFUSED)
    except ConnectionError as why:
        # The registry is away: trying again later may help.
        print(why, file=sys.stderr)
        sys.exit(TRY_AGAIN)
