"""Holds calls and answers, `[operation, sent, read]`, against the service's contract in AWS's own client, and prints what is not in it. A part of an answer is
none that misses anything."""
import json
import sys

import botocore.session
from botocore.validate import ParamValidator

service = botocore.session.get_session().get_service_model("sagemaker")


def there(value):
    """Without what is `null`."""
    if isinstance(value, dict):
        return {key: there(inner) for key, inner in value.items() if inner is not None}
    return [there(inner) for inner in value] if isinstance(value, list) else value


def problems(value, shape):
    return ParamValidator().validate(there(value), shape).generate_report().splitlines()


for operation, sent, read in json.loads(sys.argv[2]):
    model = service.operation_model(operation)
    for line in problems(sent, model.input_shape):
        print(operation, "takes it not so:", line)
    for line in problems(read, model.output_shape):
        if "Missing required parameter" not in line:
            print(operation, "says no such thing:", line)
