"""Holds exchanges against Google's own description of its interfaces: the discovery documents that its client for Python ships.

Reads a list of exchanges as JSON from a file, and prints `{"violations": […], "methods": {method: how often}}`.
"""

import json
import re
import sys

from googleapiclient.discovery_cache import get_static_doc

DOCUMENTS = [json.loads(get_static_doc(name, "v1")) for name in ("aiplatform", "storage")]
STATUSES = {
    "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "UNAUTHENTICATED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL",
    "UNAVAILABLE", "DATA_LOSS",
}


def methods(resources):
    for resource in resources.values():
        yield from resource.get("methods", {}).values()
        yield from methods(resource.get("resources", {}))


def pattern(document, method):
    """A method's path as a regular expression, with the patterns of its parameters."""

    def part(found):
        name = found.group(1).lstrip("+")
        given = method["parameters"][name].get("pattern")
        return f"(?:{given.strip('^$')})" if given and found.group(1)[0] == "+" else "[^/]+"

    pieces = re.split(r"(\{[^}]+\})", document["servicePath"] + method["path"])
    return "/" + "".join(re.sub(r"\{([^}]+)\}", part, piece) if piece[:1] == "{" else re.escape(piece) for piece in pieces)


KNOWN = [(re.compile(pattern(document, method)), document, method) for document in DOCUMENTS for method in methods(document["resources"])]


def verb(path):
    """Of Vertex AI's paths: what stands behind the name, as in `:listVersions`. The patterns of names would let it be a part of one."""
    return path.rsplit("/", 1)[-1].partition(":")[2] if path.startswith(("/v1/", "v1/")) else ""


def method_of(exchange):
    """The method that a call is of."""
    for path, document, method in KNOWN:
        is_of = method["httpMethod"] == exchange["method"] and verb(method["path"]) == verb(exchange["path"])
        if is_of and path.fullmatch(exchange["path"]):
            return document, method
    return None


def check(document, schema, value, at, sent):
    if sent and schema.get("readOnly"):
        yield f"{at}: is only ever answered"
    if "$ref" in schema:
        yield from check(document, document["schemas"][schema["$ref"]], value, at, sent)
        return
    kind = schema.get("type")
    if kind == "any":
        return
    shapes = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    if not isinstance(value, shapes[kind]) or (kind in ("integer", "number") and isinstance(value, bool)):
        yield f"{at}: is no {kind}: {value!r}"
        return
    if kind == "array":
        for index, item in enumerate(value):
            yield from check(document, schema["items"], item, f"{at}[{index}]", sent)
    elif kind == "object":
        for name, inner in value.items():
            known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if known is None:
                yield f"{at}.{name}: is not known"
            else:
                yield from check(document, known, inner, f"{at}.{name}", sent)
    elif kind == "string":
        shape = schema.get("format")
        if "enum" in schema and value not in schema["enum"]:
            yield f"{at}: `{value}` is none of {schema['enum']}"
        if shape in ("int64", "uint64") and not re.fullmatch(r"-?\d+", value):
            yield f"{at}: `{value}` is no {shape}"
        if shape in ("google-datetime", "date-time") and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", value):
            yield f"{at}: `{value}` is no instant"


def refusal(document, exchange):
    error = (exchange["answer"] or {}).get("error")
    if not isinstance(error, dict) or error.get("code") != exchange["status"] or not isinstance(error.get("message"), str):
        yield "a refusal without its own code and message"
        return
    if document["name"] == "aiplatform":
        if error.get("status") not in STATUSES:
            yield f"`{error.get('status')}` is no status of Google's"
        bare = {name: value for name, value in error.items() if name != "status"}
        yield from check(document, {"$ref": "GoogleRpcStatus"}, bare, "error", False)
        yield from ("a detail without its type" for detail in error.get("details", []) if "@type" not in detail)
    elif not error.get("errors"):
        yield "a refusal of Cloud Storage without `errors`"


def violations(exchange):
    found = method_of(exchange)
    if not found:
        yield "there is no such method"
        return
    document, method = found
    parameters = {**document["parameters"], **method["parameters"]}
    for name, value in exchange["query"]:
        known = parameters.get(name)
        if not known or known["location"] != "query":
            yield f"there is no parameter `{name}`"
        elif known["type"] == "integer" and not value.isdigit():
            yield f"`{name}={value}` is no integer"
        elif known.get("format") in ("int64", "uint64") and not re.fullmatch(r"-?\d+", value):
            yield f"`{name}={value}` is no {known['format']}"
    given = {name for name, _ in exchange["query"]}
    for name, known in method["parameters"].items():
        if known.get("required") and known["location"] == "query" and name not in given:
            yield f"`{name}` is missing"
    if "request" in method:
        yield from check(document, method["request"], exchange["body"], "sent", True)
    elif exchange["body"] is not None:
        yield "a body that nobody reads"
    is_media = ["alt", "media"] in exchange["query"]
    if is_media and not method.get("supportsMediaDownload"):
        yield "it has no content"
    if exchange["status"] >= 400:
        yield from refusal(document, exchange)
    elif exchange["answer"] is not None:
        yield from check(document, method["response"], exchange["answer"], "answered", False)
    elif not is_media:
        yield "no answer in JSON"


def main():
    found, asked = [], {}
    with open(sys.argv[1]) as file:
        for exchange in json.load(file):
            known = method_of(exchange)
            if known:
                asked[known[1]["id"]] = asked.get(known[1]["id"], 0) + 1
            found += [f"{exchange['method']} {exchange['path']}: {wrong}" for wrong in violations(exchange)]
    print(json.dumps({"violations": found, "methods": asked}))


main()
