"""Pushes models with two clients that are not Ripcord's, ModelPack's and ORAS', pulls them back with the same, and prints which files came."""

import hashlib
import json
import os
import pathlib
import sys
import tempfile

import modelpack_client as modelpack
import oras.client

host, repository = sys.argv[1:]
os.chdir(tempfile.mkdtemp())


def write(path, content):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def pulled(folder):
    found = []
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file() and path.name != "rows.csv":
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            found.append({"path": str(path.relative_to(folder)), "sha256": digest, "bytes": len(content)})
    return found


write("model.bin", b"weights" * 1000)
write("plain/a.json", b"{}")
write("plain/deeper/b.txt", b"b")
write("gzip/c.txt", b"c" * 5000)
write("zstd/d.txt", b"d" * 5000)
write("rows.csv", b"1,2\n")
weights = "application/vnd.cncf.model.weight.config.v1."
layers = [
    modelpack.ModelLayer("model.bin"),
    modelpack.ModelLayer("plain", weights + "tar"),
    modelpack.ModelLayer("gzip", weights + "tar+gzip"),
    modelpack.ModelLayer("zstd", weights + "tar+zstd"),
    modelpack.ModelLayer("rows.csv", "application/vnd.cncf.model.dataset.v1.raw"),
]
config = modelpack.ModelPackConfig(
    descriptor=modelpack.ModelDescriptor(
        created_at="2026-11-04T00:00:00Z",
        family="fraud",
        revision="abc123",
        source_url="https://git.example/fraud",
        datasets_url=("https://data.example/rows",),
    ),
    config=modelpack.ModelTechnicalConfig(architecture="trees", format="own"),
)
client = modelpack.ModelPackClient(insecure=True)
client.push(f"{host}/{repository}:2.0", layers, config)
client.pull(f"{host}/{repository}:2.0", "from-modelpack")

client = oras.client.OrasClient(hostname=host, insecure=True)
created = {"org.opencontainers.image.created": "2026-11-05T00:00:00Z", "org.opencontainers.image.revision": "def456"}
client.push(
    target=f"{host}/{repository}:2.1",
    files=["model.bin", "plain"],
    manifest_annotations=created,
    quiet=True,
)
client.pull(target=f"{host}/{repository}:2.1", outdir="from-oras")

print(json.dumps({"2.0": pulled("from-modelpack"), "2.1": pulled("from-oras")}))
