"""Sends every example of the document to a running server, in an order in which each can be true,
and holds each answer against the document: a success that is described, of the described shape.

    examples.py URL        (the key is in HOSTLINE_KEY)
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

BASE = sys.argv[1]
KEY = os.environ["HOSTLINE_KEY"]
# What is made before it is shown, changed, and taken away.
ORDER = ["post", "put", "patch", "get", "delete"]
# What cannot be shown to be true here, and why.
LEFT_OUT = {
    "signIn": "its example is no key that opens",
    "getLive": "a stream, which has tests of its own",
    "purgeHost": "takes away what later examples show",
    "redriveDelivery": "there is no dead letter; the tests of deliveries have some",
    "skipDelivery": "nothing blocks an ordering key; the tests of lanes have it",
    "cancelDelivery": "what is sent to a closed port may be in flight; the tests have it",
    "getRedrive": "the example of a redrive is a dry run",
    "revokeKey": "takes away what later examples show",
    "getSchedule": "ids of schedules are made by the server; Braze's forms are tried below",
    "cancelSchedule": "likewise",
}


def call(method, path, body=None, kind="application/json", key=True):
    headers = {"authorization": f"Bearer {KEY}"} if key else {}
    data = None
    if body is not None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        headers["content-type"] = kind
    request = urllib.request.Request(BASE + path, data=data, method=method.upper(), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


DOCUMENT = json.loads(call("get", "/openapi.json", key=False)[2])
RESOURCE = Resource(contents=DOCUMENT, specification=DRAFT202012)
REGISTRY = Registry().with_resource("urn:document", RESOURCE)


def faults(schema, value):
    """What of a value does not fit a schema."""
    checker = Draft202012Validator.FORMAT_CHECKER
    validator = Draft202012Validator(rebased(schema), registry=REGISTRY, format_checker=checker)
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]


def found(thing):
    while "$ref" in thing:
        place = DOCUMENT
        for part in thing["$ref"][2:].split("/"):
            place = place[part]
        thing = place
    return thing


def rebased(schema):
    """A schema whose references lead into the document."""
    if isinstance(schema, dict):
        return {name: rebased(value) for name, value in schema.items()}
    if isinstance(schema, str) and schema.startswith("#/components/"):
        return "urn:document" + schema
    return [rebased(one) for one in schema] if isinstance(schema, list) else schema


# Ids that the server made, by the place in whose paths they stand.
made = {}
# Ids of schedules, by the route that made them.
schedules = {}


def path_of(path, operation):
    query = []
    for parameter in operation.get("parameters", []):
        parameter = found(parameter)
        schema = found(parameter["schema"])
        example = (schema.get("examples") or [None])[0]
        if parameter["in"] == "path":
            name = parameter["name"]
            prefix = path.split("{")[0]
            value = made.get(prefix, 1 if name == "version" else example)
            if name == "version":
                value = 1
            path = path.replace("{%s}" % name, str(value))
        elif parameter["in"] == "query" and parameter.get("required"):
            query.append(f"{parameter['name']}={example if example is not None else 7}")
    return path + ("?" + "&".join(query) if query else "")


def patched(path, body):
    """The example with the id of a schedule that there is."""
    if isinstance(body, dict) and "schedule_id" in body:
        maker = path.rsplit("/", 1)[0] + "/create"
        return {**body, "schedule_id": schedules.get(maker, body["schedule_id"])}
    return body


def check(method, path, operation):
    """Sends the examples of an operation; answers what is wrong."""
    content = found(operation.get("requestBody", {})).get("content", {})
    bodies = [(kind, given.get("example")) for kind, given in content.items()] or [(None, None)]
    wrong = []
    for kind, body in bodies:
        body = patched(path, body)
        if kind == "application/json":
            wrong += [f"the example itself: {one}" for one in faults(content[kind]["schema"], body)]
        status, headers, answer = call(method, path_of(path, operation), body, kind)
        wrong += judge(operation, status, headers, answer)
        learn(path, method, status, answer)
    return wrong


def judge(operation, status, headers, answer):
    given = operation["responses"].get(str(status))
    if given is None or not 200 <= status < 300:
        return [f"answered {status}: {answer[:400]!r}"]
    given = found(given)
    kind = (headers.get("content-type") or "").split(";")[0]
    if "content" not in given:
        return [] if not answer else [f"has a body: {answer[:200]!r}"]
    media = given["content"].get(kind) or given["content"].get("*/*")
    if media is None:
        return [f"is of the type {kind}"]
    return faults(media["schema"], json.loads(answer)) if kind == "application/json" else []


def learn(path, method, status, answer):
    if not 200 <= status < 300 or method != "post":
        return
    try:
        value = json.loads(answer)
    except ValueError:
        return
    if path.endswith("/schedule/create"):
        schedules[path] = value["schedule_id"]
    if path == "/v1/triggers":
        delivery = value["deliveries"][0]
        made.setdefault("/v1/deliveries/", delivery["id"])
        made.setdefault("/v1/hosts/", delivery["host"])
    if path in ("/v1/keys", "/v1/campaigns", "/v1/canvases", "/v1/templates", "/v1/secrets"):
        made.setdefault(path + "/", value.get("id") or value.get("name"))


def order(item):
    path, method, operation = item
    # A template, campaign or canvas is launched before it is sent, and put away last.
    late = ["pause", "resume", "delete", "rotate", "revoke-old", "archive"]
    last = path.rsplit("/", 1)[-1]
    place = late.index(last) + 10 if last in late else 0
    early = {"launch": -1, "triggers": -2}.get(last, 0)
    creates = -5 if method == "post" and path.count("/") == 2 and path.startswith("/v1/") else 0
    put = -4 if method == "put" else 0
    return (ORDER.index(method) if not place else 3 + place / 100, creates + put + early, place)


def main():
    items = [(path, method, operation) for path, item in DOCUMENT["paths"].items()
             for method, operation in item.items()]
    items.sort(key=order)
    failed = 0
    for path, method, operation in items:
        name = operation["operationId"]
        if name in LEFT_OUT:
            print(f"left out: {name}: {LEFT_OUT[name]}")
            continue
        for fault in check(method, path, operation):
            failed += 1
            print(f"{name} ({method.upper()} {path}): {fault}")
    print(f"{len(items)} operations, {failed} faults")
    sys.exit(1 if failed else 0)


main()
