"""Reads an online endpoint with Microsoft's own client for Azure Machine Learning, splits its traffic anew where that is asked, and prints what it saw as one
line of JSON.

    endpoint_client.py URL SUBSCRIPTION GROUP WORKSPACE SPLIT
"""

import json
import sys

from azure.ai.ml._restclient.arm_ml_service import MachineLearningServicesMgmtClient
from azure.core.credentials import AccessToken
from azure.core.pipeline.policies import SansIOHTTPPolicy

url, subscription, group, workspace, split = sys.argv[1:]


class Credential:
    """Gives the token that the server of the tests takes."""

    def get_token(self, *scopes, **_):
        return AccessToken("token-for-manager", 4102444800)


class Bearer(SansIOHTTPPolicy):
    """As the client's own, which refuses to send a token without TLS, also to this machine."""

    def on_request(self, request):
        request.http_request.headers["Authorization"] = "Bearer token-for-manager"


rest = MachineLearningServicesMgmtClient(
    credential=Credential(), subscription_id=subscription, base_url=url, authentication_policy=Bearer(), polling_interval=0
)
of = {"resource_group_name": group, "workspace_name": workspace, "endpoint_name": "fraud"}

if json.loads(split):
    read = rest.online_endpoints.get(**of)
    read.properties.traffic = json.loads(split)
    rest.online_endpoints.begin_create_or_update(**of, body=read).result()
read = rest.online_endpoints.get(**of)
models = {one.name: one.properties.model for one in rest.online_deployments.list(**of)}
print(json.dumps({"traffic": dict(read.properties.traffic), "models": models}))
