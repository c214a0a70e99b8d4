"""Has Google's own library for Python get a token with a file of credentials, and prints the token as one line of JSON."""

import json
import sys

import google_auth_httplib2
import httplib2
from google.auth import identity_pool
from google.oauth2 import credentials, service_account

with open(sys.argv[1]) as file:
    info = json.load(file)
scopes = ["https://www.googleapis.com/auth/cloud-platform"]
if info["type"] == "service_account":
    made = service_account.Credentials.from_service_account_info(info, scopes=scopes)
elif info["type"] == "external_account":
    made = identity_pool.Credentials.from_info(info, scopes=scopes)
else:
    # Read from a file it would ask Google itself, whatever `token_uri` says.
    named = {name: info[name] for name in ("refresh_token", "client_id", "client_secret", "token_uri")}
    made = credentials.Credentials(None, scopes=scopes, **named)
made.refresh(google_auth_httplib2.Request(httplib2.Http()))
print(json.dumps({"token": made.token}))
