"""Prints every GraphQL operation that W&B's own client has in the forms of its public interface, as a list of documents."""

import inspect
import json

import wandb.apis.public.runs as runs
from wandb.sdk.artifacts._generated import operations

documents = [text for name, text in vars(operations).items() if name.endswith("_GQL")]
# A run is asked for by a text that is put together in the client's code.
run = f"query Run($project: String!, $entity: String!, $name: String!) {{ project(name: $project, entityName: $entity) {{ run(name: $name) {{ projectId ...RunFragment }} }} }} {runs.RUN_FRAGMENT}"
source = inspect.getsource(runs.Run._load_with_fragment)
assert "query Run($project: String!, $entity: String!, $name: String!)" in source, source
assert "project(name: $project, entityName: $entity)" in source and "run(name: $name)" in source, source
print(json.dumps(documents + [run]))
