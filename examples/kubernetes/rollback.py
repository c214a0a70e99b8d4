#!/usr/bin/env python3
"""Rolls a model back on a real Kubernetes API server: an InferenceService of KServe, a SeldonDeployment, or a plain Deployment.

    rollback.py --ripcord target/debug/ripcord --programs "$(.ci/kubernetes)" --dir "$(mktemp -d)" --kind kserve

`etcd`, `kube-apiserver` and Ripcord are real. There is no kubelet and no controller: the classes below write the status, the pods and their endpoints as those do.
Ripcord has the account of `role.yaml`, `role-seldon.yaml` or `role-deployment.yaml`, which may do nothing else. First it is configured to take nothing from another
owner, which `ripcord check` tells; where pods are replaced in place, one of them stays behind at first, and nothing is settled until it has moved. It needs Python
3.11 and nothing else; Ripcord is built with `--features kubernetes`."""

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
REVISIONS = f"/apis/serving.knative.dev/v1/namespaces/{NAMESPACE}/revisions"
OWNER = "kubectl-client-side-apply"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


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

    def account(self, role: str) -> str:
        """A token of the account of this manifest."""
        places = {
            "ServiceAccount": f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts",
            "Role": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles",
            "RoleBinding": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings",
        }
        for manifest in (HERE / role).read_text().split("\n---\n"):
            kind = re.search(r"^kind: (\w+)$", manifest, re.MULTILINE)[1]
            self.call("POST", places[kind], manifest.encode(), "application/yaml")
        request = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {"audiences": [ISSUER]}}
        return self.call("POST", f"{places['ServiceAccount']}/ripcord/token", request)["status"]["token"]


class Controller(threading.Thread):
    """In place of a controller and a kubelet: pods and their endpoints for each version, and the status."""

    role: str
    """The manifest of least rights."""
    deployer: str
    """The settings of Ripcord's deployer, but for what it may take over."""
    place: str
    """Where objects of the kind are."""
    stays = False
    """Whether pods are replaced in place, so that one can stay behind."""

    def __init__(self, cluster: Cluster):
        super().__init__(daemon=True)
        self.cluster, self.ends = cluster, threading.Event()
        self.generation, self.version, self.round = 0, None, 0
        self.stuck = threading.Event()

    def run(self):
        while not self.ends.wait(0.1):
            try:
                self.look()
            except OSError as error:
                say(f"the controller could not write: {error}")

    def object(self):
        return self.cluster.find(f"{self.place}/{NAME}")

    def look(self):
        found = self.object()
        if not found:
            return
        version = self.says(found)
        is_behind = self.stays and self.behind and not self.stuck.is_set()
        if version != self.version or is_behind:
            self.round += 1
            self.roll(found, version)
            self.version = version
        if found["metadata"]["generation"] != self.generation:
            self.generation = found["metadata"]["generation"]
            self.cluster.merge(f"{self.place}/{NAME}/status", "controller", {"status": self.status(found)})

    behind = False

    def pods(self, service: str, metadata: dict, spec: dict):
        """Pods behind a service. One of them stays as it was where it is stuck."""
        version = "v1" if self.cluster.find("/apis/discovery.k8s.io/v1") else "v1beta1"
        slices = f"/apis/discovery.k8s.io/{version}/namespaces/{NAMESPACE}/endpointslices"
        old = self.cluster.find(f"{slices}/{service}")
        self.behind = bool(old) and self.stuck.is_set()
        endpoints = []
        for number in range(PODS):
            if self.behind and number == PODS - 1:
                endpoints.append(old["endpoints"][number])
                continue
            name = f"{service}-{self.round}-{number}"
            self.cluster.call("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", {"metadata": {"name": name, **metadata}, "spec": spec})
            target = {"kind": "Pod", "name": name, "namespace": NAMESPACE}
            endpoints.append({"addresses": [f"10.77.0.{number + 1}"], "conditions": {"ready": True}, "targetRef": target})
        if old:
            self.cluster.merge(f"{slices}/{service}", "controller", {"endpoints": endpoints})
            return
        metadata = {"name": service, "labels": {"kubernetes.io/service-name": service}}
        made = {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 8080}]}
        self.cluster.call("POST", slices, made)


class KServe(Controller):
    """KServe with Knative: a revision for each storage address."""

    role = "role.yaml"
    deployer = 'kind = "kserve"\nmodel-uri = "s3://models/{model}/{version}"\n'
    place = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices"

    def definitions(self) -> list:
        text = {"type": "string"}
        model = {"modelFormat": {"type": "object", "properties": {"name": text}}, "storageUri": text, "runtime": text}
        predictor = {
            "minReplicas": {"type": "integer"}, "canaryTrafficPercent": {"type": "integer"},
            "model": {"type": "object", "required": ["modelFormat"], "properties": model},
        }
        spec = {"type": "object", "properties": {"predictor": {"type": "object", "properties": predictor}}}
        return [kind("serving.kserve.io", "v1beta1", "InferenceService", spec), kind("serving.knative.dev", "v1", "Revision", ANYTHING)]

    def made(self) -> dict:
        model = {"modelFormat": {"name": "sklearn"}, "runtime": "kserve-mlserver", "storageUri": uri("1.0")}
        return {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "spec": {"predictor": {"minReplicas": 2, "model": model}}}

    def says(self, found: dict) -> str:
        return found["spec"]["predictor"]["model"]["storageUri"].rsplit("/", 1)[1]

    def promote(self, found: dict) -> dict:
        return {"predictor": {"model": {"storageUri": uri("1.1")}}}

    def name(self) -> str:
        return f"{NAME}-predictor-{self.round:05}"

    def roll(self, found: dict, version: str):
        source = {"internal.serving.kserve.io/storage-initializer-sourceuri": uri(version)}
        revision = {"apiVersion": "serving.knative.dev/v1", "kind": "Revision", "metadata": {"name": self.name(), "annotations": source}}
        self.cluster.call("POST", REVISIONS, revision)
        metadata = {"labels": {"serving.kserve.io/inferenceservice": NAME}, "annotations": source}
        self.pods(f"{self.name()}-private", metadata, {"containers": [{"name": "kserve-container", "image": "none"}]})

    def status(self, found: dict) -> dict:
        name = self.name()
        traffic = [{"revisionName": name, "latestRevision": True, "percent": 100}]
        components = {"predictor": {"latestReadyRevision": name, "latestCreatedRevision": name, "traffic": traffic}}
        return {
            # Of Knative's service, as KServe writes it: it counts for itself.
            "observedGeneration": found["metadata"]["generation"] + 6, "deploymentMode": "Serverless", "components": components,
            "conditions": [{"type": "Ready", "status": "True"}], "modelStatus": {"transitionStatus": "UpToDate"},
        }


class Seldon(Controller):
    """Seldon Core 1: the pods of one predictor."""

    role = "role-seldon.yaml"
    deployer = 'kind = "seldon"\nmodel-uri = "s3://models/{model}/{version}"\n'
    place = f"/apis/machinelearning.seldon.io/v1/namespaces/{NAMESPACE}/seldondeployments"
    stays = True

    def definitions(self) -> list:
        return [kind("machinelearning.seldon.io", "v1", "SeldonDeployment", ANYTHING)]

    def made(self) -> dict:
        graph = {"name": "classifier", "implementation": "SKLEARN_SERVER", "modelUri": uri("1.0")}
        return {
            "apiVersion": "machinelearning.seldon.io/v1", "kind": "SeldonDeployment",
            "spec": {"protocol": "v2", "predictors": [{"name": "main", "replicas": 2, "graph": graph}]},
        }

    def says(self, found: dict) -> str:
        return found["spec"]["predictors"][0]["graph"]["modelUri"].rsplit("/", 1)[1]

    def promote(self, found: dict) -> dict:
        predictor = found["spec"]["predictors"][0]
        return {"predictors": [{**predictor, "graph": {**predictor["graph"], "modelUri": uri("1.1")}}]}

    def roll(self, found: dict, version: str):
        initializer = {"name": "classifier-model-initializer", "image": "none", "args": [uri(version), "/mnt/models"]}
        spec = {"initContainers": [initializer], "containers": [{"name": "classifier", "image": "none"}]}
        self.pods(f"{NAME}-main", {"labels": {"seldon-deployment-id": NAME}}, spec)

    def status(self, found: dict) -> dict:
        return {"state": "Available"}


class Deployment(Controller):
    """The controllers of Kubernetes itself, for a plain `Deployment`."""

    role = "role-deployment.yaml"
    deployer = 'kind = "kubernetes"\nimage = "registry.example/{model}:{version}"\ncontainer = "main"\n'
    place = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
    stays = True

    def definitions(self) -> list:
        return []

    def made(self) -> dict:
        containers = [{"name": "proxy", "image": "registry.example/proxy:7"}, {"name": "main", "image": f"registry.example/{NAME}:1.0"}]
        template = {"metadata": {"labels": {"app": NAME}}, "spec": {"containers": containers}}
        spec = {"replicas": PODS, "selector": {"matchLabels": {"app": NAME}}, "template": template}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}

    def says(self, found: dict) -> str:
        containers = found["spec"]["template"]["spec"]["containers"]
        return next(one["image"] for one in containers if one["name"] == "main").rsplit(":", 1)[1]

    def promote(self, found: dict) -> dict:
        template = found["spec"]["template"]
        containers = template["spec"]["containers"]
        moved = [{**one, "image": f"registry.example/{NAME}:1.1"} if one["name"] == "main" else one for one in containers]
        return {"template": {**template, "spec": {**template["spec"], "containers": moved}}}

    def roll(self, found: dict, version: str):
        containers = [{"name": one["name"], "image": one["image"]} for one in found["spec"]["template"]["spec"]["containers"]]
        self.pods(NAME, {"labels": {"app": NAME}}, {"containers": containers})

    def status(self, found: dict) -> dict:
        return {"observedGeneration": found["metadata"]["generation"], "replicas": PODS, "updatedReplicas": PODS, "readyReplicas": PODS}


KINDS = {"kserve": KServe, "seldon": Seldon, "deployment": Deployment}


def kind(group: str, version: str, name: str, spec: dict) -> dict:
    """The parts of a kind's description that a rollback meets."""
    plural = f"{name.lower()}s"
    described = {"type": "object", "properties": {"spec": spec, "status": ANYTHING}}
    names = {"kind": name, "listKind": f"{name}List", "plural": plural, "singular": name.lower()}
    served = {"name": version, "served": True, "storage": True, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": described}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [served]},
    }


class Ripcord:
    def __init__(self, program: Path, folder: Path, cluster: Cluster):
        self.program, self.folder, self.cluster, self.port = program, folder, cluster, free_port()
        (folder / "secrets").mkdir()
        self.secret("olga.token", secrets.token_hex(32))
        for version in ["1.0", "1.1"]:
            files = folder / f"artefact-{version}"
            files.mkdir()
            (files / "model.txt").write_text(f"{version}\n")
            register = HERE.parent / "registry-folder/register.py"
            subprocess.run([sys.executable, str(register), "registry", NAME, version, str(files)], cwd=folder, check=True, capture_output=True)

    def configure(self, deployer: str, take_over: list):
        config = (HERE / "act.toml").read_text().replace("127.0.0.1:8787", f"127.0.0.1:{self.port}")
        before, rest = config.split("[services.fraud-api.deployer]\n")
        after = rest[rest.index("\n[services.fraud-api.planner]"):]
        table = f'{deployer}namespace = "{NAMESPACE}"\nkubeconfig = "secrets/kubeconfig"\ntake-over = {json.dumps(take_over)}\n'
        (self.folder / "ripcord.toml").write_text(f"{before}[services.fraud-api.deployer]\n{table}{after}")

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
    controller = KINDS[args.kind](cluster)
    try:
        for description in controller.definitions():
            cluster.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", description)
            spec = description["spec"]
            path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
            cluster.until("the kind is not served", lambda path=path: cluster.find(path))
        cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        cluster.call("POST", f"{controller.place}?fieldManager={OWNER}", {**controller.made(), "metadata": {"name": NAME}})
        controller.start()

        ripcord = Ripcord(args.ripcord.absolute(), folder, cluster)
        ripcord.kubeconfig(cluster.account(controller.role))
        cluster.until("version 1.0 is not served", lambda: controller.version == "1.0")
        ripcord.configure(controller.deployer, [])
        told = ripcord.run("check", codes=(0, 1, 2, 3))
        if f"is held by `{OWNER}`" not in told:
            raise SystemExit(f"nobody is told who holds what a rollback sets:\n{told}")
        ripcord.configure(controller.deployer, [OWNER, "kubectl-patch"])
        say(ripcord.run("check").strip())
        ripcord.serve()
        cluster.until("version 1.0 is not live", lambda: (ripcord.service()["live"] or {}).get("version") == "1.0")
        ripcord.run("adopt", SERVICE, "--reason", "served well for two weeks")

        say("the team promotes version 1.1 with kubectl; it is bad")
        cluster.merge(f"{controller.place}/{NAME}", "kubectl-patch", {"spec": controller.promote(controller.object())})
        cluster.until("version 1.1 is not served", lambda: controller.version == "1.1")
        if controller.stays:
            controller.stuck.set()
        ripcord.run("pull", SERVICE, "--no-wait", "--reason", "it declines good customers")
        if controller.stays:
            cluster.until("no pod has moved", lambda: controller.version == "1.0" and controller.behind)
            time.sleep(5)
            if ripcord.service()["last_settled"]:
                raise SystemExit("it was settled while one replica had not moved")
            say("one replica has not moved, and nothing is settled; now it moves")
            controller.stuck.clear()
        settled = cluster.until("it was not settled", lambda: ripcord.service()["last_settled"])
        after = controller.object()
        print(ripcord.run("incidents", "show", settled["id"]))
        return {"outcome": settled["outcome"], "object": after, "version": controller.says(after), "made": controller.made()["spec"]}
    finally:
        controller.ends.set()
        cluster.stop()


def lost(made, after, path="spec") -> str | None:
    """The first place at which an object does not say what it was made with. It may say more."""
    if isinstance(made, dict) and isinstance(after, dict):
        return next((found for key in made if (found := lost(made[key], after.get(key), f"{path}.{key}"))), None)
    if isinstance(made, list) and isinstance(after, list) and len(made) == len(after):
        return next((found for index, one in enumerate(made) if (found := lost(one, after[index], f"{path}[{index}]"))), None)
    return None if made == after else path


def main():
    it = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    it.add_argument("--ripcord", required=True, type=Path, metavar="PROGRAM")
    it.add_argument("--programs", required=True, type=Path, metavar="FOLDER", help="with `etcd` and `kube-apiserver`")
    it.add_argument("--kind", default="kserve", choices=KINDS)
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
    annotation = result["object"]["metadata"]["annotations"]["ripcord.dev/version"]
    print(f"the {result['object']['kind']} says version {result['version']}; annotation `ripcord.dev/version`: {annotation}")
    if dropped := lost(result["made"], result["object"]["spec"]):
        raise SystemExit(f"a rollback to what there was at first did not bring back, or has dropped, `{dropped}`")
    got = (result["outcome"], result["version"], annotation)
    if got != ("rolled-back", "1.0", "1.0"):
        raise SystemExit(f"it did not end as it should: {got}")


if __name__ == "__main__":
    main()
