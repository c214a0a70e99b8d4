"""Starts moto and Ripcord, has a team deploy a good version and then a bad one, and goes back: Ripcord fetches the good one from the registry, moves the endpoint,
reads it back, and has the group's tag say the good version. Everything is on this machine; AWS is not asked.

Ends with what `ripcord incidents show` prints, and with what AWS's own client sees."""

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3

HERE = Path(__file__).resolve().parent
MOTO = HERE.parents[1] / "host/adapters/tests/moto/with_update_endpoint.py"
REGION, SERVICE, PATIENCE = "eu-west-1", "fraud-api", 120
KEY = {"AWS_ACCESS_KEY_ID": "example", "AWS_SECRET_ACCESS_KEY": "example", "AWS_DEFAULT_REGION": REGION}
CONTAINER = {"Image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/sklearn:1"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Stack:
    def __init__(self, ripcord: str, folder: Path):
        self.ripcord, self.folder, self.children = os.path.abspath(ripcord), folder.absolute(), {}
        self.moto = f"http://127.0.0.1:{free_port()}"
        self.host = f"http://127.0.0.1:{free_port()}"

    def start(self, name: str, *command):
        with open(self.folder / f"{name}.log", "wb") as log:
            self.children[name] = subprocess.Popen(
                [str(part) for part in command], cwd=self.folder, env={**os.environ, **KEY}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )

    def stop(self):
        for child in reversed(self.children.values()):
            child.terminate()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def until(self, what: str, done):
        """What `done` gives once it gives something; a program that ended ends all."""
        since = time.monotonic()
        while time.monotonic() - since < PATIENCE:
            for name, child in self.children.items():
                if child.poll() is not None:
                    raise SystemExit(f"{name} ended with {child.returncode}:\n{(self.folder / f'{name}.log').read_text()[-2000:]}")
            try:
                if found := done():
                    return found
            except (OSError, LookupError, ValueError):
                pass
            time.sleep(0.2)
        raise SystemExit(f"{what} within {PATIENCE} s: read the logs in {self.folder}")

    def run(self, *arguments, form=("--json",)):
        command = [self.ripcord, "--config", "ripcord.toml", *form, "--token-file", "secrets/me.token", *arguments]
        ran = subprocess.run(command, cwd=self.folder, env={**os.environ, **KEY}, capture_output=True, text=True, check=False)
        # It ends with 3 where a person is waited for.
        if ran.returncode not in (0, 3):
            raise SystemExit(f"ripcord {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        return json.loads(ran.stdout) if form else ran.stdout

    def service(self) -> dict:
        token = (self.folder / "secrets/me.token").read_text().strip()
        asked = urllib.request.Request(f"{self.host}/api/v1/services/{SERVICE}", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return json.load(answer)

    def incident(self):
        service = self.service()
        return service["incident"] or service["last_settled"]

    def client(self, service: str):
        own = {"aws_access_key_id": KEY["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": KEY["AWS_SECRET_ACCESS_KEY"]}
        return boto3.client(service, endpoint_url=self.moto, region_name=REGION, **own)


class Team:
    """Registers and deploys, as a pipeline does it."""

    def __init__(self, stack: Stack):
        self.s3, self.sagemaker = stack.client("s3"), stack.client("sagemaker")
        self.s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": REGION})
        self.group = self.sagemaker.create_model_package_group(ModelPackageGroupName="fraud")["ModelPackageGroupArn"]
        self.packages = {}

    def register(self, version: str):
        key = f"fraud/{version}/model.tar.gz"
        self.s3.put_object(Bucket="models", Key=key, Body=f"weights of version {version}".encode())
        kinds = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
        container = {**CONTAINER, "ModelDataUrl": f"s3://models/{key}"}
        made = self.sagemaker.create_model_package(
            ModelPackageGroupName="fraud", ModelApprovalStatus="Approved", InferenceSpecification={"Containers": [container], **kinds},
            MetadataProperties={"CommitId": f"commit-{version}"},
        )
        self.packages[version] = made["ModelPackageArn"]

    def deploy(self, version: str):
        role = "arn:aws:iam::123456789012:role/SageMaker"
        name = f"fraud-{version}"
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"ModelPackageName": self.packages[version]})
        variant = {"VariantName": "all", "ModelName": name, "InitialInstanceCount": 2, "InstanceType": "ml.m5.large", "InitialVariantWeight": 1.0}
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        if self.sagemaker.list_endpoints()["Endpoints"]:
            self.sagemaker.update_endpoint(EndpointName="fraud", EndpointConfigName=name)
        else:
            self.sagemaker.create_endpoint(EndpointName="fraud", EndpointConfigName=name)
        self.sagemaker.add_tags(ResourceArn=self.group, Tags=[{"Key": "production", "Value": version}])

    def sees(self) -> dict:
        configuration = self.sagemaker.describe_endpoint(EndpointName="fraud")["EndpointConfigName"]
        variants = self.sagemaker.describe_endpoint_config(EndpointConfigName=configuration)["ProductionVariants"]
        models = [self.sagemaker.describe_model(ModelName=variant["ModelName"]) for variant in variants]
        return {
            "configuration": configuration,
            "serves": [model["PrimaryContainer"]["ModelPackageName"].rpartition("/")[2] for model in models],
            # Moto keeps a second tag of one key, where AWS gives the one another value.
            "production": [tag["Value"] for tag in self.sagemaker.list_tags(ResourceArn=self.group)["Tags"] if tag["Key"] == "production"][-1],
        }


def prepare(stack: Stack):
    (stack.folder / "secrets").mkdir(parents=True)
    for name in ["me", "alertmanager"]:
        path = stack.folder / "secrets" / f"{name}.token"
        path.touch(0o600)
        path.write_text(secrets.token_hex(32))
    text = (HERE / "ripcord.toml").read_text()
    # What differs from AWS: where it is.
    moved = text.replace("127.0.0.1:8787", stack.host.removeprefix("http://")).replace('mode = "observe"', 'mode = "ask"')
    moved = moved.replace('production-tag = "production"', f'production-tag = "production"\nendpoint = "{stack.moto}"\ns3-endpoint = "{stack.moto}"')
    moved = moved.replace('endpoint-name = "fraud"', f'endpoint-name = "fraud"\nendpoint = "{stack.moto}"')
    (stack.folder / "ripcord.toml").write_text(moved)


def play(stack: Stack) -> dict:
    prepare(stack)
    say("starting moto")
    stack.start("moto", sys.executable, MOTO, "-H", "127.0.0.1", "-p", stack.moto.rpartition(":")[2])
    stack.until("moto did not answer", lambda: urllib.request.urlopen(stack.moto, timeout=5))
    team = Team(stack)
    for version in ["1", "2"]:
        team.register(version)
    team.deploy("1")
    stack.start("ripcord", stack.ripcord, "--config", "ripcord.toml", "serve")
    stack.until("Ripcord did not answer", lambda: urllib.request.urlopen(f"{stack.host}/readyz", timeout=5))
    say(f"Ripcord protects {SERVICE} at {stack.host}; somebody vouches for version 1")
    stack.run("adopt", SERVICE, "--reason", "served well for two weeks")
    say("the team deploys version 2, which is bad, and somebody pulls")
    team.deploy("2")
    before = team.sees()
    stack.run("pull", SERVICE, "--to", "1", "--reason", "good customers are being declined")
    # Whoever asks is enough here: no policy wants more.
    settled = stack.until("it was not settled", lambda: (it := stack.incident()) and (it["needs"] or it["phase"] == "settled") and it)
    incident = settled["id"]
    if settled["needs"]:
        raise SystemExit(f"{incident} {settled['needs']}\n{stack.run('incidents', 'show', incident, form=())}")
    # The name follows the version.
    after = stack.until("the tag was not moved", lambda: (it := team.sees()) and it["production"] == "1" and it)
    return {"incident": incident, "outcome": settled["outcome"], "before": before, "after": after}


def main():
    it = argparse.ArgumentParser(description=__doc__)
    it.add_argument("--ripcord", required=True, metavar="PROGRAM", help="built with the feature `aws`")
    it.add_argument("--dir", required=True, type=Path, help="an empty folder for all that is written")
    it.add_argument("--json", action="store_true", help="print one JSON document at the end")
    args = it.parse_args()
    if args.dir.exists() and any(args.dir.iterdir()):
        raise SystemExit(f"`{args.dir}` is not empty: give another folder")
    args.dir.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    stack = Stack(args.ripcord, args.dir)
    try:
        result = play(stack)
        shown = stack.run("incidents", "show", result["incident"], form=())
    finally:
        stack.stop()
    if args.json:
        print(json.dumps(result))
    else:
        print(shown)
        for when in ["before", "after"]:
            print(f"{when}, as AWS's own client sees it: {json.dumps(result[when])}")
    if result["outcome"] != "rolled-back" or result["after"]["serves"] != ["1"]:
        raise SystemExit(f"it did not end as it should: {result}")


if __name__ == "__main__":
    main()
