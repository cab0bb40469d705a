"""Gives every body of the OpenAPI document a whole example; a model's own goes before."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI

from berrante.web.example_values import AT, BODIES, DESCRIPTIONS, ID, OF_MODELS, OF_PATHS, VALUES

_TYPES: Final[Mapping[str | None, Any]] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": (int, float),
    "object": dict,
    "string": str,
}


def describe(app: FastAPI) -> None:
    """Give every JSON and CSV body of the OpenAPI document an example, and every parameter a description."""
    made = app.openapi

    def described() -> dict[str, Any]:
        document = made()
        for path, methods in document["paths"].items():
            for operation in methods.values():
                for parameter in operation.get("parameters", ()):
                    parameter.setdefault("description", DESCRIPTIONS.get(parameter["name"], ""))
                bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
                for kind, content in (pair for body in bodies for pair in body.get("content", {}).items()):
                    _show(kind, content, path, document)
        return document

    app.openapi = described  # type: ignore[method-assign]


def _show(kind: str, content: dict[str, Any], path: str, document: dict[str, Any]) -> None:
    if "example" in content or "examples" in content:
        return
    is_text = kind.startswith("text/")
    if path in OF_PATHS and isinstance(OF_PATHS[path], str) is is_text:
        content["example"] = OF_PATHS[path]
    elif kind == "application/json" and "schema" in content:
        content["example"] = example_of(content["schema"], document)


def example_of(schema: Mapping[str, Any], document: Mapping[str, Any], *, name: str = "", model: str = "") -> Any:  # noqa: ANN401  JSON
    """Return an example of a schema of the document; ``name`` is the field's, and ``model`` whose field it is."""
    if "$ref" in schema:
        called = schema["$ref"].rsplit("/", 1)[1]
        found = document["components"]["schemas"][called]
        return BODIES[called] if called in BODIES else example_of(found, document, name=name, model=called)
    known = (*schema.get("examples", ()), schema.get("example"), OF_MODELS.get(f"{model}.{name}"))
    if (given := next((each for each in known if each is not None), None)) is not None:
        return given
    if name in VALUES and _fits(VALUES[name], schema):
        return VALUES[name]
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return example_of(choices[0], document, name=name, model=model)
    match schema.get("type"):
        case "array":
            made: Any = [example_of(schema["items"], document)]
        case "object":
            fields = schema.get("properties", {})
            made = {field: example_of(of, document, name=field, model=model) for field, of in fields.items()}
        case _:
            made = _plain(schema)
    return made


def _plain(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401  JSON
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    formats = {"date-time": AT, "date": AT[:10], "uuid": ID}
    plain = {"integer": schema.get("minimum", 1), "number": 1.0, "boolean": True, "null": None}
    kind = schema.get("type")
    return plain[kind] if kind in plain else formats.get(schema.get("format", ""), "…")


def _fits(value: object, schema: Mapping[str, Any]) -> bool:
    """Tell whether a value is of one of the schema's own types; models are made of their fields instead."""
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return any(_fits(value, choice) for choice in choices)
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    kind = schema.get("type")
    if (kind == "object" and "properties" in schema) or schema.get("format", "password") != "password":
        return False
    return isinstance(value, _TYPES.get(kind, ())) and (kind == "boolean" or not isinstance(value, bool))
