#!/usr/bin/env python3
"""Registers the files of a folder as a version, in a registry that is a folder: the last step of a training job.

    register.py ROOT MODEL VERSION FILES [--alias champion] [--measure accuracy=0.97] [--dataset transactions --dataset-revision 7] …

The version appears whole or not at all: everything is written beside and renamed. One that is there already is refused.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
from datetime import datetime, timezone
from pathlib import Path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Registers the files of a folder as a version.")
    parser.add_argument("root", type=Path, help="`root` of the registry")
    parser.add_argument("model")
    parser.add_argument("version")
    parser.add_argument("files", type=Path, help="the folder with the artefact's files")
    parser.add_argument("--created-at", help="RFC 3339; now, if it is left out")
    parser.add_argument("--runtime", help="the serving image or runtime")
    parser.add_argument("--signature", help="the input signature, as the server tells it")
    parser.add_argument("--alias", action="append", default=[], dest="aliases", help="a name that points at it")
    for plural in ("tags", "measures", "parameters"):
        parser.add_argument(f"--{plural[:-1]}", action="append", default=[], dest=plural, metavar="NAME=VALUE", type=pair)
    for name in ("code", "run", "source", "dataset", "dataset-revision", "parent"):
        parser.add_argument(f"--{name}", help=f"`{name}` of the lineage")
    return parser.parse_args()


def pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise argparse.ArgumentTypeError(f"`{text}` is not NAME=VALUE")
    return name, value


def toml(value: object) -> str:
    """A text of JSON is one of TOML."""
    return json.dumps(value, ensure_ascii=False)


def manifest(given: argparse.Namespace, artefacts: list[dict]) -> str:
    created = given.created_at or datetime.now(timezone.utc).isoformat(timespec="seconds")
    lines = [f"model = {toml(given.model)}", f"version = {toml(given.version)}", f"created-at = {toml(created)}"]
    for name in ("runtime", "signature"):
        if getattr(given, name):
            lines.append(f"{name} = {toml(getattr(given, name))}")
    if given.aliases:
        lines.append(f"aliases = {toml(given.aliases)}")
    tables = {"tags": given.tags, "measures": [(name, float(value)) for name, value in given.measures]}
    for table, pairs in tables.items():
        lines += ["", f"[{table}]"] + [f"{toml(name)} = {toml(value)}" for name, value in pairs]
    lines += ["", "[lineage]"]
    for name in ("code", "run", "source", "dataset", "dataset-revision", "parent"):
        value = getattr(given, name.replace("-", "_"))
        if value:
            lines.append(f"{name} = {toml(value)}")
    lines += ["", "[lineage.parameters]"] + [f"{toml(name)} = {toml(value)}" for name, value in given.parameters]
    for file in artefacts:
        lines += ["", "[[artefacts]]"] + [f"{key} = {toml(value)}" for key, value in file.items()]
    return "\n".join(lines) + "\n"


def copy(source: Path, to: Path) -> dict:
    """Copies and hashes what is copied, so that the digest is of what lies in the registry."""
    to.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reader, to.open("xb") as writer:
        while piece := reader.read(1 << 20):
            digest.update(piece)
            size += len(piece)
            writer.write(piece)
        writer.flush()
        os.fsync(writer.fileno())
    return {"sha256": digest.hexdigest(), "bytes": size}


def register(given: argparse.Namespace) -> None:
    model = given.root / given.model
    version, beside = model / given.version, model / f".{given.version}.new"
    if version.exists():
        sys.exit(f"version `{given.version}` of `{given.model}` is there already: choose another name")
    shutil.rmtree(beside, ignore_errors=True)
    artefacts = []
    for source in sorted(path for path in given.files.rglob("*") if not path.is_dir()):
        if source.is_symlink() or not source.is_file():
            sys.exit(f"`{source}` is not an ordinary file: put a copy there")
        path = source.relative_to(given.files).as_posix()
        artefacts.append({"path": path} | copy(source, beside / "files" / path))
    if not artefacts:
        sys.exit(f"`{given.files}` has no files")
    text = beside / "manifest.toml"
    text.write_text(manifest(given, artefacts), encoding="utf-8")
    with text.open() as written:
        os.fsync(written.fileno())
    # A folder is only renamed over one that is empty, which a version never is.
    beside.rename(version)


if __name__ == "__main__":
    register(arguments())
