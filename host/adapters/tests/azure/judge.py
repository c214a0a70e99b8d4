"""Holds exchanges against Microsoft's own client for Azure Machine Learning: its operations say which calls there are, its models what stands in them.

Reads a list of exchanges as JSON from a file, and prints `{"violations": […], "operations": {operation: how often}}`.
"""

import datetime
import enum
import inspect
import json
import re
import sys
import typing

from azure.ai.ml._restclient.arm_ml_service import models
from azure.ai.ml._restclient.arm_ml_service._utils.model_base import Model
from azure.ai.ml._restclient.arm_ml_service.models import _models
from azure.ai.ml._restclient.arm_ml_service.operations import _operations

# What each operation is given and answers, as its own signature and its own reading have it.
PAGE = "page"
OPERATIONS = {
    "model_containers_get": (None, models.ModelContainer),
    "model_containers_create_or_update": (models.ModelContainer, models.ModelContainer),
    "model_versions_get": (None, models.ModelVersion),
    "model_versions_create_or_update": (models.ModelVersion, models.ModelVersion),
    "model_versions_list": (None, (PAGE, models.ModelVersion)),
    "registry_model_containers_get": (None, models.ModelContainer),
    "registry_model_containers_create_or_update": (models.ModelContainer, models.ModelContainer),
    "registry_model_versions_get": (None, models.ModelVersion),
    "registry_model_versions_create_or_update": (models.ModelVersion, models.ModelVersion),
    "registry_model_versions_list": (None, (PAGE, models.ModelVersion)),
    "registry_data_references_get_blob_reference_sas": (models.GetBlobReferenceSASRequestDto, models.GetBlobReferenceSASResponseDto),
    "datastores_get": (None, models.Datastore),
    "jobs_get": (None, models.JobBase),
    "online_endpoints_get": (None, models.OnlineEndpoint),
    "online_endpoints_create_or_update": (models.OnlineEndpoint, models.OnlineEndpoint),
    "online_deployments_get": (None, models.OnlineDeployment),
    "online_deployments_list": (None, (PAGE, models.OnlineDeployment)),
    "online_deployments_create_or_update": (models.OnlineDeployment, models.OnlineDeployment),
}
NAMES = {**vars(typing), **vars(models), "_models": models, "datetime": datetime, "dict": dict, "list": list}


def operation(name):
    """Method, path and parameters of an operation, as its builder writes them."""
    source = inspect.getsource(getattr(_operations, f"build_{name}_request"))
    path = re.search(r'_url = "([^"]+)"', source).group(1)
    pattern = "".join("[^/]+" if piece[:1] == "{" else re.escape(piece) for piece in re.split(r"(\{[^}]+\})", path))
    parameters = {found: kind for found, kind in re.findall(r'_params\["([^"]+)"\] = _SERIALIZER\.query\("\w+", \w+, "(\w+)"\)', source)}
    return re.search(r'method="(\w+)"', source).group(1), re.compile(pattern), parameters


KNOWN = {name: operation(name) for name in OPERATIONS}


def operation_of(exchange):
    for name, (method, pattern, _) in KNOWN.items():
        if method == exchange["method"] and pattern.fullmatch(exchange["path"]):
            return name
    return None


def concrete(model, value):
    """The model that a value says to be."""
    # What a model has is worked out when the first is made.
    model({})
    discriminators = [field for field in model._attr_to_rest_field.values() if getattr(field, "_is_discriminator", False)]
    for field in discriminators:
        kind = value.get(field._rest_name)
        known = model.__mapping__.get(kind)
        if known is not None and known is not model:
            return concrete(known, value)
    return model


def check_model(model, value, at, sent):
    if not isinstance(value, dict):
        yield f"{at}: is no {model.__name__}: {value!r}"
        return
    model = concrete(model, value)
    # The client's own reading of it, and its own writing.
    read = model(value) if sent else model._deserialize(value, [])
    fields = {field._rest_name: (name, field) for name, field in model._attr_to_rest_field.items()}
    hints = typing.get_type_hints(model, globalns=NAMES, localns=vars(_models))
    for name, inner in value.items():
        if name not in fields:
            yield f"{at}.{name}: is not known"
            continue
        attribute, field = fields[name]
        if sent and field._visibility == ["read"]:
            yield f"{at}.{name}: is only ever answered"
        try:
            getattr(read, attribute)
        except Exception as error:
            yield f"{at}.{name}: cannot be read: {error}"
        yield from check(hints[attribute], inner, f"{at}.{name}", sent)


def check(kind, value, at, sent):
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is typing.Any or kind is object:
        return
    if origin is typing.Union:
        if value is None and type(None) in arguments:
            return
        kinds = [one for one in arguments if one is not type(None)]
        enums = [one for one in kinds if isinstance(one, type) and issubclass(one, enum.Enum)]
        if enums:
            if value not in {member.value for one in enums for member in one}:
                yield f"{at}: `{value}` is none of {[member.value for member in enums[0]]}"
            return
        found = [list(check(one, value, at, sent)) for one in kinds]
        if all(found):
            yield from found[0]
    elif origin is typing.Literal:
        if value not in [getattr(one, "value", one) for one in arguments]:
            yield f"{at}: `{value}` is none of {arguments}"
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{at}: is no dictionary: {value!r}"
            return
        for name, inner in value.items():
            yield from check(arguments[1], inner, f"{at}.{name}", sent)
    elif origin is list:
        if not isinstance(value, list):
            yield f"{at}: is no list: {value!r}"
            return
        for index, inner in enumerate(value):
            yield from check(arguments[0], inner, f"{at}[{index}]", sent)
    elif isinstance(kind, type) and issubclass(kind, Model):
        yield from check_model(kind, value, at, sent)
    elif kind is datetime.datetime:
        if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", value):
            yield f"{at}: `{value}` is no instant"
    elif isinstance(kind, type):
        wanted = (int, float) if kind is float else kind
        if not isinstance(value, wanted) or (kind is not bool and isinstance(value, bool)):
            yield f"{at}: is no {kind.__name__}: {value!r}"


def violations(exchange):
    name = operation_of(exchange)
    if name is None:
        yield "there is no such operation"
        return
    parameters = KNOWN[name][2]
    for parameter, value in exchange["query"]:
        # What a link of Azure's leads to is Azure's own.
        if parameter not in parameters:
            yield f"there is no parameter `{parameter}`"
        elif parameters[parameter] == "int" and not value.isdigit():
            yield f"`{parameter}={value}` is no integer"
        elif parameter == "listViewType" and value not in {one.value for one in models.ListViewType}:
            yield f"`{value}` is no view"
    if "api-version" not in {parameter for parameter, _ in exchange["query"]}:
        yield "`api-version` is missing"
    given, answered = OPERATIONS[name]
    if given:
        yield from check_model(given, exchange["body"], "sent", True)
    elif exchange["body"] is not None:
        yield "a body that nobody reads"
    answer = exchange["answer"]
    if exchange["status"] >= 400:
        if not isinstance(answer, dict) or not isinstance((answer.get("error") or {}).get("code"), str):
            yield "a refusal without `error.code`"
        else:
            yield from check_model(models.ErrorResponse, answer, "refused", False)
    elif not isinstance(answer, dict):
        yield "no answer in JSON"
    elif isinstance(answered, tuple):
        for name in set(answer) - {"value", "nextLink"}:
            yield f"answered.{name}: is not known"
        for index, one in enumerate(answer.get("value", [])):
            yield from check_model(answered[1], one, f"answered.value[{index}]", False)
    else:
        yield from check_model(answered, answer, "answered", False)


def main():
    found, asked = [], {}
    with open(sys.argv[1]) as file:
        for exchange in json.load(file):
            name = operation_of(exchange)
            if name:
                asked[name] = asked.get(name, 0) + 1
            found += [f"{exchange['method']} {exchange['path']}: {wrong}" for wrong in violations(exchange)]
    print(json.dumps({"violations": found, "operations": asked}))


main()
