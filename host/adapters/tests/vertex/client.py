"""Reads or changes a model with Google's own client for Python, and prints what it saw as one line of JSON.

    client.py URL TOKEN MODEL [merge VERSION ALIAS…]
"""

import hashlib
import json
import sys

from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build

url, token, model, *rest = sys.argv[1:]


def client(name, path):
    made = {"credentials": Credentials(token=token), "static_discovery": True, "cache_discovery": False}
    return build(name, "v1", client_options={"api_endpoint": url + path}, **made)


models = client("aiplatform", "/").projects().locations().models()
if rest:
    models.mergeVersionAliases(name=f"{model}@{rest[1]}", body={"versionAliases": rest[2:]}).execute()

versions = []
request = models.listVersions(name=model, orderBy="create_time desc")
while request is not None:
    page = request.execute()
    versions += page["models"]
    request = models.listVersions_next(request, page)

objects = client("storage", "/storage/v1/").objects()
read = []
for version in versions:
    bucket, prefix = version["artifactUri"].removeprefix("gs://").split("/", 1)
    files = []
    request = objects.list(bucket=bucket, prefix=prefix + "/")
    while request is not None:
        page = request.execute()
        for item in page.get("items", []):
            content = objects.get_media(bucket=bucket, object=item["name"], generation=item["generation"]).execute()
            path = item["name"].removeprefix(prefix + "/")
            if path:
                files.append({"path": path, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)})
        request = objects.list_next(request, page)
    files.sort(key=lambda file: file["path"].encode())
    read.append({"version": version["versionId"], "aliases": sorted(version["versionAliases"]), "files": files})

default = models.get(name=f"{model}@default").execute()["versionId"]
print(json.dumps({"versions": read, "default": default}))
