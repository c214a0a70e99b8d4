#!/usr/bin/env python3
"""Rolls an InferenceService of KServe back on a real Kubernetes API server.

    rollback.py --ripcord target/debug/ripcord --programs "$(.ci/kubernetes)" --dir "$(mktemp -d)"

`etcd`, `kube-apiserver` and Ripcord are real. There is no kubelet and no controller of KServe: `Controller` below writes the status, the pods and their endpoints as
those do. Ripcord has the account of `role.yaml`, which may do nothing else. It needs Python 3.11 and nothing else; Ripcord is built with `--features kubernetes`."""

import argparse
import json
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMESPACE, NAME, SERVICE = "ml", "fraud", "fraud-api"
ADMIN = "tok-admin"
ISSUER = "https://ripcord.test"
PATIENCE = 120
PODS = 2
ISVC = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices"
REVISIONS = f"/apis/serving.knative.dev/v1/namespaces/{NAMESPACE}/revisions"


def say(text: str):
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def uri(version: str) -> str:
    return f"s3://models/{NAME}/{version}"


class Cluster:
    """The API server with its store, and an administrator who writes objects."""

    def __init__(self, programs: Path, folder: Path):
        self.folder, self.children = folder, []
        try:
            self.begin(programs)
        except BaseException:
            self.stop()
            raise

    def begin(self, programs: Path):
        folder = self.folder
        etcd, peer, self.port = free_port(), free_port(), free_port()
        client = f"http://127.0.0.1:{etcd}"
        self.start(
            programs / "etcd", "--data-dir", folder / "etcd", "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-cluster", f"default=http://127.0.0.1:{peer}", "--unsafe-no-fsync",
        )
        key, tokens = folder / "sa.key", folder / "tokens.csv"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        tokens.write_text(f"{ADMIN},admin,1,system:masters\n")
        self.start(
            programs / "kube-apiserver", f"--etcd-servers={client}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}", f"--cert-dir={folder / 'certs'}", f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}", f"--api-audiences={ISSUER}",
            f"--token-auth-file={tokens}", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount",
        )
        self.authority = folder / "certs/apiserver.crt"
        self.until("kube-apiserver did not start", lambda: self.find("/api/v1/namespaces/default"))

    def start(self, program: Path, *arguments):
        with open(self.folder / f"{program.name}.log", "ab") as log:
            command = [str(program), *map(str, arguments)]
            self.children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder))

    def stop(self):
        for child in reversed(self.children):
            child.terminate()
        for child in reversed(self.children):
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def until(self, what: str, done, patience=PATIENCE):
        since = time.monotonic()
        while time.monotonic() - since < patience:
            for child in self.children:
                if child.poll() is not None:
                    raise SystemExit(f"{child.args[0]} ended with {child.returncode}: read the logs in {self.folder}")
            try:
                if found := done():
                    return found
            except (OSError, KeyError, ValueError):
                pass
            time.sleep(0.1)
        raise SystemExit(f"{what} within {patience} s: read the logs in {self.folder}")

    def call(self, method: str, path: str, body=None, kind="application/json"):
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": kind}
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", data=data, method=method, headers=headers)
        context = ssl.create_default_context(cafile=self.authority)
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return json.load(answer)

    def find(self, path: str):
        try:
            return self.call("GET", path)
        except urllib.error.HTTPError as error:
            if error.code in (403, 404):
                return None
            raise

    def merge(self, path: str, manager: str, patch):
        return self.call("PATCH", f"{path}?fieldManager={manager}", patch, "application/merge-patch+json")

    def account(self) -> str:
        """A token of the account of `role.yaml`."""
        places = {
            "ServiceAccount": f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts",
            "Role": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles",
            "RoleBinding": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings",
        }
        for manifest in (HERE / "role.yaml").read_text().split("\n---\n"):
            kind = re.search(r"^kind: (\w+)$", manifest, re.MULTILINE)[1]
            self.call("POST", places[kind], manifest.encode(), "application/yaml")
        request = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {"audiences": [ISSUER]}}
        return self.call("POST", f"{places['ServiceAccount']}/ripcord/token", request)["status"]["token"]


class Controller(threading.Thread):
    """In place of KServe's controller, Knative and a kubelet: a revision, its pods and their endpoints for each storage address, and the status."""

    def __init__(self, cluster: Cluster):
        super().__init__(daemon=True)
        self.cluster, self.ends = cluster, threading.Event()
        self.generation, self.uri, self.revision = 0, None, 0

    def run(self):
        while not self.ends.wait(0.1):
            try:
                self.look()
            except OSError as error:
                say(f"the controller could not write: {error}")

    def look(self):
        found = self.cluster.find(f"{ISVC}/{NAME}")
        if not found or found["metadata"]["generation"] == self.generation:
            return
        predictor = found["spec"]["predictor"]
        if predictor["model"]["storageUri"] != self.uri:
            self.uri = predictor["model"]["storageUri"]
            self.revision += 1
            self.pods()
        name = self.name()
        traffic = [{"revisionName": name, "latestRevision": True, "percent": 100}]
        components = {"predictor": {"latestReadyRevision": name, "latestCreatedRevision": name, "traffic": traffic}}
        status = {
            # Of Knative's service, as KServe writes it: it counts for itself.
            "observedGeneration": found["metadata"]["generation"] + 6, "deploymentMode": "Serverless", "components": components,
            "conditions": [{"type": "Ready", "status": "True"}], "modelStatus": {"transitionStatus": "UpToDate"},
        }
        self.cluster.merge(f"{ISVC}/{NAME}/status", "kserve-controller", {"status": status})
        self.generation = found["metadata"]["generation"]

    def name(self) -> str:
        return f"{NAME}-predictor-{self.revision:05}"

    def pods(self):
        service = f"{self.name()}-private"
        source = {"internal.serving.kserve.io/storage-initializer-sourceuri": self.uri}
        revision = {"apiVersion": "serving.knative.dev/v1", "kind": "Revision", "metadata": {"name": self.name(), "annotations": source}}
        self.cluster.call("POST", REVISIONS, revision)
        endpoints = []
        for number in range(PODS):
            name = f"{self.name()}-{number}"
            metadata = {"name": name, "labels": {"serving.kserve.io/inferenceservice": NAME}, "annotations": source}
            spec = {"containers": [{"name": "kserve-container", "image": "none"}]}
            self.cluster.call("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", {"metadata": metadata, "spec": spec})
            target = {"kind": "Pod", "name": name, "namespace": NAMESPACE}
            endpoints.append({"addresses": [f"10.77.0.{number + 1}"], "conditions": {"ready": True}, "targetRef": target})
        version = "v1" if self.cluster.find("/apis/discovery.k8s.io/v1") else "v1beta1"
        metadata = {"name": service, "labels": {"kubernetes.io/service-name": service}}
        slices = {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 8080}]}
        self.cluster.call("POST", f"/apis/discovery.k8s.io/{version}/namespaces/{NAMESPACE}/endpointslices", slices)


def definition() -> dict:
    """The parts of KServe's description of its kind that a rollback meets."""
    text, anything = {"type": "string"}, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    model = {"modelFormat": {"type": "object", "properties": {"name": text}}, "storageUri": text, "runtime": text}
    predictor = {
        "minReplicas": {"type": "integer"}, "canaryTrafficPercent": {"type": "integer"},
        "model": {"type": "object", "required": ["modelFormat"], "properties": model},
    }
    spec = {"type": "object", "properties": {"predictor": {"type": "object", "properties": predictor}}}
    described = {"type": "object", "properties": {"spec": spec, "status": anything}}
    return kind("serving.kserve.io", "v1beta1", "InferenceService", described, {"subresources": {"status": {}}})


def revisions() -> dict:
    """Knative's revisions, as far as they are read."""
    return kind("serving.knative.dev", "v1", "Revision", {"type": "object", "x-kubernetes-preserve-unknown-fields": True}, {})


def kind(group: str, version: str, name: str, described: dict, more: dict) -> dict:
    plural = f"{name.lower()}s"
    names = {"kind": name, "listKind": f"{name}List", "plural": plural, "singular": name.lower()}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": described}, **more}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [served]},
    }


class Ripcord:
    def __init__(self, program: Path, folder: Path, cluster: Cluster):
        self.program, self.folder, self.cluster, self.port = program, folder, cluster, free_port()
        (folder / "secrets").mkdir()
        config = (HERE / "act.toml").read_text().replace("127.0.0.1:8787", f"127.0.0.1:{self.port}")
        (folder / "ripcord.toml").write_text(config)
        self.secret("olga.token", secrets.token_hex(32))
        for version in ["1.0", "1.1"]:
            files = folder / f"artefact-{version}"
            files.mkdir()
            (files / "model.txt").write_text(f"{version}\n")
            register = HERE.parent / "registry-folder/register.py"
            subprocess.run([sys.executable, str(register), "registry", NAME, version, str(files)], cwd=folder, check=True, capture_output=True)

    def secret(self, name: str, text: str):
        path = self.folder / "secrets" / name
        path.touch(0o600)
        path.write_text(text)

    def kubeconfig(self, token: str):
        place = {"server": f"https://127.0.0.1:{self.cluster.port}", "certificate-authority": str(self.cluster.authority)}
        self.secret("kubeconfig", json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "ripcord",
            "clusters": [{"name": "test", "cluster": place}], "users": [{"name": "ripcord", "user": {"token": token}}],
            "contexts": [{"name": "ripcord", "context": {"cluster": "test", "user": "ripcord"}}],
        }))

    def run(self, *arguments, codes=(0, 3)) -> str:
        command = [str(self.program), "--config", "ripcord.toml", "--token-file", "secrets/olga.token", *arguments]
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if ran.returncode not in codes:
            raise SystemExit(f"ripcord {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def service(self) -> dict:
        # It ends with 1 where people have to look, and says so all the same.
        return json.loads(self.run("status", "--json", codes=(0, 1)))[0]

    def serve(self):
        self.cluster.start(self.program, "--config", self.folder / "ripcord.toml", "serve")
        page = f"http://127.0.0.1:{self.port}/readyz"
        self.cluster.until("ripcord did not start", lambda: urllib.request.urlopen(page, timeout=5).status == 200)


def play(args, folder: Path) -> dict:
    say("starting etcd and kube-apiserver")
    cluster = Cluster(args.programs.absolute(), folder)
    controller = Controller(cluster)
    try:
        for description in (definition(), revisions()):
            cluster.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", description)
        for path in ("serving.kserve.io/v1beta1/inferenceservices", "serving.knative.dev/v1/revisions"):
            cluster.until("the kind is not served", lambda path=path: cluster.find(f"/apis/{path}"))
        cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        model = {"modelFormat": {"name": "sklearn"}, "runtime": "kserve-mlserver", "storageUri": uri("1.0")}
        isvc = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": NAME}, "spec": {"predictor": {"minReplicas": 2, "model": model}}}
        cluster.call("POST", f"{ISVC}?fieldManager=kubectl-client-side-apply", isvc)
        controller.start()

        ripcord = Ripcord(args.ripcord.absolute(), folder, cluster)
        ripcord.kubeconfig(cluster.account())
        cluster.until("version 1.0 is not served", lambda: controller.uri == uri("1.0"))
        say(ripcord.run("check").strip())
        ripcord.serve()
        cluster.until("version 1.0 is not live", lambda: (ripcord.service()["live"] or {}).get("version") == "1.0")
        ripcord.run("adopt", SERVICE, "--reason", "served well for two weeks")

        say("the team promotes version 1.1 with kubectl; it is bad")
        cluster.merge(f"{ISVC}/{NAME}", "kubectl-patch", {"spec": {"predictor": {"model": {"storageUri": uri("1.1")}}}})
        cluster.until("version 1.1 is not served", lambda: controller.uri == uri("1.1"))
        ripcord.run("pull", SERVICE, "--reason", "it declines good customers")
        settled = cluster.until("it was not settled", lambda: ripcord.service()["last_settled"])
        after = cluster.find(f"{ISVC}/{NAME}")
        print(ripcord.run("incidents", "show", settled["id"]))
        return {"outcome": settled["outcome"], "object": after, "live": ripcord.service()["live"]}
    finally:
        controller.ends.set()
        cluster.stop()


def main():
    it = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    it.add_argument("--ripcord", required=True, type=Path, metavar="PROGRAM")
    it.add_argument("--programs", required=True, type=Path, metavar="FOLDER", help="with `etcd` and `kube-apiserver`")
    it.add_argument("--dir", required=True, type=Path, help="an empty folder for all that is written")
    args = it.parse_args()
    folder = args.dir.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"`{folder}` is not empty: give another folder")
    if not shutil.which("openssl"):
        raise SystemExit("`openssl` is not installed: apt-get install openssl")
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    result = play(args, folder)
    predictor, annotations = result["object"]["spec"]["predictor"], result["object"]["metadata"]["annotations"]
    print(f"storage address: {predictor['model']['storageUri']}, with the runtime {predictor['model']['runtime']}")
    print(f"annotation `ripcord.dev/version`: {annotations['ripcord.dev/version']}")
    wanted = ("rolled-back", uri("1.0"), "kserve-mlserver", 2)
    got = (result["outcome"], predictor["model"]["storageUri"], predictor["model"]["runtime"], predictor["minReplicas"])
    if got != wanted:
        raise SystemExit(f"it did not end as it should: {got}")


if __name__ == "__main__":
    main()
