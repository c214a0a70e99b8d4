#!/usr/bin/env python3
"""Serves what the link FOLDER/current points at, one of FOLDER/releases, and runs FOLDER/reload after a change where there is one.

Replace the bodies of `served` and `serve` by your own deployment's calls; what is printed and how it ends is what Ripcord reads.

    deployer.py live FOLDER
    deployer.py shift FOLDER VERSION STAGED EXPECTING
    deployer.py probe FOLDER VERSION EXPECTING
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

REFUSED, BUSY, NOT_EXPECTED = 64, 65, 69


class Refused(Exception):
    """Nothing was done; the code says why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def served(folder: Path) -> str:
    """What is served now; empty before the first shift. Better is to ask the server itself."""
    current = folder / "current"
    return os.path.basename(os.readlink(current)) if current.is_symlink() else ""


def serve(folder: Path, version: str, staged: Path) -> None:
    """An end by anything but `return` means that nobody knows what became of it."""
    release, new = folder / "releases" / version, folder / "releases" / f".{version}.new"
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(release, ignore_errors=True)
    shutil.copytree(staged, new)
    new.rename(release)
    # One rename, so that there is no moment without a version.
    link = folder / "current.new"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("releases") / version)
    link.rename(folder / "current")
    if os.access(folder / "reload", os.X_OK):
        # What goes on after this program must not hold the standard input, by which Ripcord knows that a shift has not ended.
        subprocess.run([folder / "reload", version], check=True, stdin=subprocess.DEVNULL)


def locked(folder: Path, patience_seconds: float) -> bool:
    """Takes the lock for as long as this program runs."""
    # The descriptor must outlive this function, and the programs that this one starts must not have it.
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    until = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.1)


def live(folder: Path) -> dict:
    current = folder / "current"
    if current.exists() and not current.is_symlink():
        return {"unknown": "`current` is no link: somebody has changed it by hand"}
    version = served(folder)
    return {"shares": [{"version": version}] if version else []}


def shift(folder: Path, version: str, staged: Path, expecting: str) -> None:
    (folder / "releases").mkdir(parents=True, exist_ok=True)
    # Comparing and changing must be one thing, so that nobody else gets in between: this is what makes it `conditional`.
    if not locked(folder, 20):
        raise Refused(BUSY, "another change has been under way for 20 seconds")
    now = served(folder)
    if now == version:
        return
    if now != expecting:
        raise Refused(NOT_EXPECTED, f"live is `{now}`, and `{expecting}` was expected")
    serve(folder, version, staged)


def probe(folder: Path, version: str, expecting: str) -> dict:
    if not locked(folder, 0):
        return {"outcome": "underway", "why": "the lock is held"}
    now = served(folder)
    if now == version:
        return {"outcome": "applied"}
    if now == expecting:
        return {"outcome": "not-applied"}
    return {"outcome": "cannot-tell", "why": f"live is `{now}`, which is neither"}


def main(*arguments: str) -> None:
    match arguments:
        case ["live", folder]:
            print(json.dumps(live(Path(folder))))
        case ["shift", folder, version, staged, expecting]:
            shift(Path(folder), version, Path(staged), expecting)
        case ["probe", folder, version, expecting]:
            print(json.dumps(probe(Path(folder), version, expecting)))
        case _:
            raise Refused(REFUSED, "neither live, shift nor probe, or the arguments are wrong")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Refused as why:
        print(why, file=sys.stderr)
        sys.exit(why.code)
