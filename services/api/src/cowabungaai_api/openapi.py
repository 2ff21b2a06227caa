# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document: FastAPI's own, and the endpoints that models answer, from the models that check them."""

from collections.abc import Callable
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cowabungaai_api.endpoints import ENDPOINTS, OPENAI, Endpoint
from cowabungaai_api.gateway import OPEN_PATHS
from cowabungaai_api.schemas.errors import ErrorBody

REF = "#/components/schemas/{model}"
ERRORS = {
    "400": "The request is wrong; `param` names the parameter.",
    "401": "There is no valid key or token.",
    "403": "The key may not do this, or not use this model.",
    "404": "There is no such model.",
    "405": "The path takes another method.",
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "415": "The body is of another type.",
    "429": "Too many requests or tokens; Retry-After says when to try again.",
    "500": "The gateway or the backend failed.",
    "503": "No replica of the model is ready.",
    "504": "The answer was not complete in time.",
}


def document(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Makes the function that makes the document, once.

    Args:
        app: the FastAPI app.
    """

    @cache
    def make() -> dict[str, Any]:
        out = get_openapi(title=app.title, version=app.version, routes=app.routes)
        components = out.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        # FastAPI describes its own body of validation errors, which is never sent.
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        own = _schemas()
        if clash := sorted(name for name in own.keys() & schemas.keys() if own[name] != schemas[name]):
            raise ValueError(f"two models have the name {clash[0]!r}")
        schemas.update(own)
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, methods in out["paths"].items():
            for method in methods.values():
                _complete(path, method)
        for endpoint in ENDPOINTS:
            for prefix in endpoint.prefixes:
                path = prefix + endpoint.operation.path
                out["paths"][path] = {"post": _operation(endpoint, prefix)}
        return out

    return make


def _complete(path: str, method: dict[str, Any]) -> None:
    """What FastAPI does not know of its own routes: keys, and errors in OpenAI's form."""
    responses = method["responses"]
    responses.pop("422", None)
    if path in OPEN_PATHS:
        if path == "/readyz":
            responses["503"] = _error("The gateway cannot take requests now.")
        return
    method["security"] = [{"key": []}]
    for status in ("401", "403", "429"):
        responses.setdefault(status, _error(ERRORS[status]))
    if method.get("parameters") or method.get("requestBody"):
        responses.setdefault("400", _error(ERRORS["400"]))
        responses.setdefault("404", _error("There is no such thing."))


def _models() -> list[tuple[type[BaseModel], str]]:
    found: dict[type[BaseModel], str] = {ErrorBody: "serialization"}
    for endpoint in ENDPOINTS:
        found[endpoint.operation.request] = "validation"
        for model in (*endpoint.answers, *((endpoint.events,) if endpoint.events else ())):
            found[model] = "serialization"
    return list(found.items())


def _schemas() -> dict[str, Any]:
    _, top = models_json_schema(_models(), by_alias=True, ref_template=REF)  # type: ignore[arg-type]
    schemas: dict[str, Any] = top["$defs"]
    for endpoint in ENDPOINTS:
        schema = schemas[endpoint.operation.request.__name__]
        # Which more parameters are taken depends on the backend's configuration; by default none.
        schema["additionalProperties"] = False
        if endpoint.form:
            _as_form(schema)
    return schemas


def _as_form(schema: dict[str, Any]) -> None:
    """Adds the file, and writes lists as forms do."""
    properties = schema["properties"]
    properties["file"] = {"type": "string", "format": "binary"}
    if "file" not in schema["required"]:
        schema["required"].append("file")
    for name, found in list(properties.items()):
        if any(choice.get("type") == "array" for choice in (found, *found.get("anyOf", ()))):
            properties[f"{name}[]"] = properties.pop(name)


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REF.format(model=model.__name__)}


def _error(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(ErrorBody)}}}


def _operation(endpoint: Endpoint, prefix: str) -> dict[str, Any]:
    answers = [_ref(model) for model in endpoint.answers]
    content: dict[str, Any] = {"application/json": {"schema": answers[0] if len(answers) == 1 else {"anyOf": answers}}}
    if endpoint.form:
        content["text/plain"] = {"schema": {"type": "string"}}
    if endpoint.events:
        content["text/event-stream"] = {"schema": {"type": "string", "description": "Server-sent events."}}
    kind = "multipart/form-data" if endpoint.form else "application/json"
    return {
        "operationId": f"{prefix.split('/')[1]}_{endpoint.name.replace('/', '_')}",
        "summary": endpoint.summary,
        "tags": ["models" if prefix == OPENAI else "own"],
        "security": [{"key": []}],
        "requestBody": {"required": True, "content": {kind: {"schema": _ref(endpoint.operation.request)}}},
        "responses": {
            "200": {"description": "The answer.", "content": content},
            **{status: _error(text) for status, text in ERRORS.items()},
        },
    }
