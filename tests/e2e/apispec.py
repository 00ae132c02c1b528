"""api/openapi.json as a contract: an answer that passes through the tests' client must be one that it describes."""

import functools
import json
import re
import urllib.parse
from pathlib import Path

from jsonschema import Draft202012Validator, draft202012_format_checker
from jsonschema.exceptions import best_match

SPEC = json.loads((Path(__file__).resolve().parents[2] / "api/openapi.json").read_text())
METHODS = ("get", "put", "post", "delete", "patch")
# Of the request's form, which is looked at before its route: any operation may answer so (info.description says it).
OF_THE_FORM = {400, 405, 411, 413, 414, 417, 431, 501, 505}
# What an address that is nobody's may be answered.
OF_NO_ROUTE = OF_THE_FORM | {404}


def pointed(ref):
    """What a reference within the document stands for."""
    assert ref.startswith("#/"), f"{ref} leads out of the document"
    value = SPEC
    for part in ref[2:].split("/"):
        value = value[part.replace("~1", "/").replace("~0", "~")]
    return value


def inlined(value):
    """VALUE with what its references stand for in their places: looked up once, not at each answer."""
    if isinstance(value, list):
        return [inlined(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("$ref"), str):
        rest = {k: v for k, v in value.items() if k != "$ref"}
        assert set(rest) <= {"description", "summary"}, f"beside {value['$ref']} stands {set(rest)}"
        return {**inlined(pointed(value["$ref"])), **rest}
    return {k: inlined(v) for k, v in value.items()}


def operations():
    """(method, template, operation) of all, the operation with its references."""
    return [(method.upper(), template, item[method]) for template, item in SPEC["paths"].items() for method in METHODS
            if method in item]


PATTERNS = [(template, re.compile("/".join("[^/]+" if part.startswith("{") else re.escape(part)
                                           for part in template.split("/"))))
            for template in sorted(SPEC["paths"], key=lambda t: t.count("{"))]


@functools.lru_cache(4096)
def template_of(path):
    """The path of the document that PATH is one of; None if there is none."""
    path = path.split("?")[0]
    for form in (path, urllib.parse.unquote(path)):
        for template, pattern in PATTERNS:
            if pattern.fullmatch(form):
                return template
    return None


@functools.lru_cache(None)
def response_of(method, template, status):
    """{media type: validator of its schema, or None if it is no JSON} of a response; None if there is none like it."""
    operation = SPEC["paths"][template].get(method.lower())
    response = operation and operation["responses"].get(str(status))
    if response is None:
        return None
    return {media: validator(content["schema"]) if media.endswith("json") else None
            for media, content in inlined(response).get("content", {}).items()}


def validator(schema):
    return Draft202012Validator(inlined(schema), format_checker=draft202012_format_checker)


def misfit(schema, value):
    """What is wrong with VALUE, as text; None if nothing is."""
    error = best_match(schema.iter_errors(value))
    if error is None:
        return None
    return f"at {'/'.join(map(str, error.absolute_path)) or 'its top'}: {error.message[:400]}"


def complaint(method, path, status, content_type, body):
    """Why the document does not describe this answer; None if it does."""
    template = template_of(path)
    asked = "GET" if method == "HEAD" else method
    if template is None or asked.lower() not in SPEC["paths"][template]:
        return None if status in OF_NO_ROUTE else f"there is no operation {asked} {template or path.split('?')[0]}"
    contents = response_of(asked, template, status)
    where = f"paths → {template} → {asked.lower()} → responses"
    if contents is None:
        return None if status in OF_THE_FORM else f"{where} has no {status}"
    if method == "HEAD" or not body:
        # Out of memory for a body: a bare 500.
        return None if method == "HEAD" or not contents or status == 500 else f"{where} → {status} has a body, the answer has none"
    media = content_type if content_type in contents else str(content_type).split(";")[0]
    if media not in contents:
        return f"{where} → {status} has no {content_type}, but {sorted(contents) or 'no body'}"
    schema = contents[media]
    wrong = schema and misfit(schema, json.loads(body))
    return f"{where} → {status} → {media} does not fit {wrong}" if wrong else None


def check(method, path, status, content_type, body):
    """Fails with what is to be done if the document does not describe the answer."""
    wrong = complaint(method, path, status, content_type, body)
    if wrong:
        raise AssertionError(
            f"api/openapi.json does not describe the answer {status} to {method} {path.split('?')[0]}:\n  {wrong}\n"
            "  Mend whichever is wrong, the answer or the description (its example, too), and build again: the program "
            f"carries the description.\n  The answer: {body[:600]!r}")
