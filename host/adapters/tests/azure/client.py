"""Reads or changes a model with Microsoft's own client for Azure Machine Learning, and prints what it saw as one line of JSON.

    client.py URL SUBSCRIPTION GROUP WORKSPACE MODEL REGISTRY [tag VERSION NAME VALUE | production VERSION]
"""

import json
import sys

from azure.ai.ml import MLClient
from azure.ai.ml._restclient.arm_ml_service import MachineLearningServicesMgmtClient
from azure.core.credentials import AccessToken
from azure.core.pipeline.policies import SansIOHTTPPolicy

url, subscription, group, workspace, model, registry, *change = sys.argv[1:]


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
of = {"resource_group_name": group, "workspace_name": workspace, "name": model}

# The client that people use, over the same calls.
client = MLClient(Credential(), subscription, group, workspace)
models = client.models
models._model_versions_operation, models._model_container_operation = rest.model_versions, rest.model_containers

if change[:1] == ["tag"]:
    _, version, name, value = change
    read = models.get(name=model, version=version)
    read.tags[name] = value
    body = read._to_rest_object()
    rest.model_versions.create_or_update(**of, version=version, body=body)
elif change[:1] == ["production"]:
    read = rest.model_containers.get(**of)
    read.properties.tags["production"] = change[1]
    rest.model_containers.create_or_update(**of, body=read)
elif change[:1] == ["archive"]:
    models.archive(name=model, version=change[1])

listed = [
    {"version": one.version, "stage": one.stage, "tags": one.tags, "path": one.path} for one in models.list(name=model, list_view_type="All")
]
container = rest.model_containers.get(**of)
in_registry = rest.registry_model_versions.list(resource_group_name=group, registry_name=registry, model_name=model)
store = rest.datastores.get(resource_group_name=group, workspace_name=workspace, name="workspaceblobstore")
print(
    json.dumps(
        {
            "versions": listed,
            "latest": models.get(name=model, label="latest").version,
            "tags": dict(container.properties.tags),
            "description": container.properties.description,
            "in_registry": [one.name for one in in_registry],
            "store": [store.properties.account_name, store.properties.container_name],
        }
    )
)
