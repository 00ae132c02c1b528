"""The description of the API itself: that it is OpenAPI 3.1, that its examples are what it says, and that the check of
answers, through which every test's requests go (apispec.py), sees what does not fit."""

import json
import re

import pytest
from jsonschema import Draft202012Validator

import apispec


def closed(required, optional=(), **kinds):
    """An object with these members and no others, but for those that begin with x-."""
    names = [*required, *optional]
    return {"type": "object", "required": list(required), "properties": {n: kinds.get(n, True) for n in names},
            "patternProperties": {"^x-": True}, "additionalProperties": False}


def map_of(kind, names="."):
    return {"type": "object", "patternProperties": {names: kind}, "additionalProperties": False}


def or_reference(kind):
    return {"if": {"required": ["$ref"]}, "then": closed(["$ref"], ["description", "summary"]), "else": kind}


# The Specification's own tables (version 3.1.0, section 4.8), as far as this document uses them.
TEXT = {"type": "string", "minLength": 1}
SCHEMA = {"type": "object"}  # looked at by JSON Schema's own schema
MEDIA = closed(["schema"], ["example", "examples"], schema=SCHEMA)
CONTENT = map_of(MEDIA, "^[a-z]+/")
HEADER = closed(["schema"], ["description", "example", "required"], schema=SCHEMA)
PARAMETER = {**closed(["name", "in", "schema"], ["description", "required", "example"], schema=SCHEMA),
             "if": {"properties": {"in": {"const": "path"}}}, "then": {"required": ["required"]},
             "else": {"properties": {"in": {"enum": ["query", "header"]}}}}
RESPONSE = closed(["description"], ["headers", "content"], description=TEXT, headers=map_of(or_reference(HEADER)),
                  content=CONTENT)
SERVER = closed(["url"], ["description", "variables"], variables=map_of(closed(["default"], ["description", "enum"])))
PARAMETERS = {"type": "array", "items": or_reference(PARAMETER)}
OPERATION = closed(
    ["tags", "operationId", "summary", "responses", "security", "x-roles"], ["description", "parameters", "requestBody"],
    summary=TEXT, operationId={"type": "string", "pattern": "^[a-z][A-Za-z]+$"}, parameters=PARAMETERS,
    requestBody=closed(["content"], ["description", "required"], content=CONTENT),
    responses=map_of(or_reference(RESPONSE), "^[1-5][0-9][0-9]$"),
    security={"type": "array", "items": map_of({"type": "array", "maxItems": 0})})
PATH = closed([], [*apispec.METHODS, "parameters", "servers"], parameters=PARAMETERS,
              servers={"type": "array", "items": SERVER}, **{m: OPERATION for m in apispec.METHODS})
SCHEME = {"oneOf": [closed(["type", "scheme"], ["description", "bearerFormat"], type={"const": "http"}),
                    closed(["type"], ["description"], type={"const": "mutualTLS"})]}
DOCUMENT = closed(
    ["openapi", "info", "paths", "components", "tags", "servers"], ["security"],
    openapi={"type": "string", "pattern": r"^3\.1\.\d+$"},
    info=closed(["title", "version"], ["summary", "description", "license"],
                license={**closed(["name"], ["identifier", "url"]), "not": {"required": ["identifier", "url"]}}),
    tags={"type": "array", "items": closed(["name"], ["description"])}, servers={"type": "array", "items": SERVER},
    paths=map_of(PATH, "^/"),
    components=closed([], ["schemas", "responses", "parameters", "headers", "securitySchemes"],
                      schemas=map_of(SCHEMA, "^[A-Za-z0-9._-]+$"), responses=map_of(RESPONSE),
                      parameters=map_of(PARAMETER), headers=map_of(HEADER), securitySchemes=map_of(SCHEME)))


def schemas(value, where=""):
    """(where, schema) of all that stand where OpenAPI has one."""
    if isinstance(value, dict):
        for name, child in value.items():
            if name == "schemas" and where == "/components":
                yield from ((f"{where}/schemas/{n}", s) for n, s in child.items())
            elif name == "schema":
                yield f"{where}/schema", child
            elif name != "example":
                yield from schemas(child, f"{where}/{name}")
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from schemas(child, f"{where}/{i}")


def test_the_document_is_openapi_3_1():
    """Each object has the members that the Specification gives it, and no others; each schema is one of JSON Schema's."""
    wrong = apispec.misfit(Draft202012Validator(DOCUMENT), apispec.SPEC)
    assert wrong is None, wrong
    seen = 0
    for where, schema in schemas(apispec.SPEC):
        try:
            Draft202012Validator.check_schema(schema)
        except Exception as e:
            raise AssertionError(f"{where}: {e}") from None
        seen += 1
    assert seen > 150


def test_names_are_there_once_and_used():
    """Operations' names once; tags, security schemes and components that are named exist, and those that exist are named."""
    operations = apispec.operations()
    ids = [o["operationId"] for _, _, o in operations]
    assert len(ids) == len(set(ids)), sorted(i for i in ids if ids.count(i) > 1)
    assert {t for _, _, o in operations for t in o["tags"]} == {t["name"] for t in apispec.SPEC["tags"]}
    schemes = {s for _, _, o in operations for one in o["security"] for s in one}
    assert schemes == set(apispec.SPEC["components"]["securitySchemes"])
    used = set(re.findall(r'"#/components/([^"]+)"', json.dumps(apispec.SPEC)))
    there = {f"{kind}/{name}" for kind, items in apispec.SPEC["components"].items() for name in items}
    assert {name for name in there if not name.startswith("securitySchemes/")} == used


def contents():
    """(where, media type, content) of each request and each answer."""
    for method, template, operation in apispec.operations():
        bodies = {"request": operation.get("requestBody"), **operation["responses"]}
        for name, body in bodies.items():
            for media, content in apispec.inlined(body or {}).get("content", {}).items():
                yield f"{method} {template} {name}", media, content


def test_each_body_has_an_example_that_fits():
    """But for bytes that are no text."""
    checked = 0
    for where, media, content in contents():
        if content["schema"].get("format") == "binary":
            continue
        assert "example" in content, f"{where} {media} has no example in api/openapi.json"
        wrong = apispec.misfit(apispec.validator(content["schema"]), content["example"])
        assert wrong is None, f"the example of {where} {media} in api/openapi.json does not fit its schema {wrong}"
        checked += 1
    assert checked > 100


def test_parameters_examples_fit():
    for method, template, operation in apispec.operations():
        for parameter in apispec.inlined([*apispec.SPEC["paths"][template].get("parameters", []),
                                          *operation.get("parameters", [])]):
            if "example" in parameter:
                wrong = apispec.misfit(apispec.validator(parameter["schema"]), parameter["example"])
                assert wrong is None, (method, template, parameter["name"], wrong)
            if parameter["in"] == "path":
                assert "example" in parameter, (method, template, parameter["name"])


def test_each_status_that_a_route_can_answer_is_there():
    """What every route can answer by what happens before its handler runs, or when that fails."""
    for method, template, operation in apispec.operations():
        statuses = set(operation["responses"])
        expected = {"400", "500", "503"}
        if operation["security"]:
            expected |= {"401", "403", "429"}
        if operation.get("requestBody"):
            expected.add("413")
        if "{" in template and operation["security"] and "/{label}/" not in template:
            expected.add("404")
        if "{label}" in template or "/est/" in template:
            expected -= {"500", "503"}  # from memory
        assert expected <= statuses, f"{method} {template} has no {sorted(expected - statuses)}"


DEVICE = next(o["responses"]["200"]["content"]["application/json"]["example"] for m, t, o in apispec.operations()
              if (m, t) == ("GET", "/v1/devices/{id}"))
PROBLEM = {"type": "urn:muster:problem:not-found", "title": "Not Found", "status": 404, "detail": "no such device",
           "instance": "f3a1b2c4d5e6f708f3a1b2c4d5e6f708"}
JSON, TROUBLE = "application/json", "application/problem+json"
ONE = f"/v1/devices/{DEVICE['id']}"


@pytest.mark.parametrize("method, path, status, media, body, says", [
    ("GET", ONE, 200, JSON, DEVICE, None),
    ("GET", ONE + "?x=1", 200, JSON, DEVICE, None),
    ("HEAD", ONE, 200, JSON, None, None),
    ("GET", ONE, 404, TROUBLE, PROBLEM, None),
    ("GET", "/v1/nothing", 404, TROUBLE, PROBLEM, None),
    ("DELETE", "/v1/devices", 405, TROUBLE, PROBLEM, None),
    ("GET", ONE, 200, JSON, {**DEVICE, "secret": 1}, "secret"),
    ("GET", ONE, 200, JSON, {k: v for k, v in DEVICE.items() if k != "name"}, "'name' is a required property"),
    ("GET", ONE, 200, JSON, {**DEVICE, "created_at": "2026-11-24 08:00:00"}, "created_at"),
    ("GET", ONE, 200, JSON, {**DEVICE, "id": "7"}, "is not a 'uuid'"),
    ("GET", ONE, 200, JSON, {**DEVICE, "certificate": {}}, "certificate"),
    ("GET", ONE, 200, "text/html", DEVICE, "no text/html"),
    ("GET", ONE, 200, JSON, None, "the answer has none"),
    ("GET", ONE, 409, TROUBLE, PROBLEM, "has no 409"),
    ("GET", ONE, 404, TROUBLE, {"detail": "x"}, "required property"),
    ("GET", "/v1/nothing", 200, JSON, {}, "no operation GET /v1/nothing"),
    ("DELETE", "/v1/devices", 200, JSON, {}, "no operation DELETE /v1/devices"),
    ("GET", "/v1/%64evices", 200, JSON, {"items": 1, "next": None}, "items"),
])
def test_an_answer_that_does_not_fit_is_seen(method, path, status, media, body, says):
    text = b"" if body is None else json.dumps(body).encode()
    if says is None:
        apispec.check(method, path, status, media, text)
        return
    with pytest.raises(AssertionError) as e:
        apispec.check(method, path, status, media, text)
    assert says in str(e.value) and "Mend whichever is wrong" in str(e.value), e.value
