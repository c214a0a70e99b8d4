"""Reads an endpoint with Google's own client for Python, splits its traffic anew where that is asked, and prints what it saw as one line of JSON.

    endpoint_client.py URL TOKEN SPLIT
"""

import json
import sys

from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build

url, token, split = sys.argv[1:]
name = "projects/acme-ml/locations/europe-west4/endpoints/5150"
made = {"credentials": Credentials(token=token), "static_discovery": True, "cache_discovery": False}
endpoints = build("aiplatform", "v1", client_options={"api_endpoint": url + "/"}, **made).projects().locations().endpoints()
endpoint = endpoints.get(name=name).execute()
if json.loads(split):
    body = {"etag": endpoint["etag"], "trafficSplit": json.loads(split)}
    endpoint = endpoints.patch(name=name, updateMask="trafficSplit", body=body).execute()
versions = {one["id"]: one["modelVersionId"] for one in endpoint["deployedModels"]}
print(json.dumps({"split": endpoint["trafficSplit"], "versions": versions}))
