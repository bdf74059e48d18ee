"""The OpenAPI document as one plain page that loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
h2 {{ margin-top: 2.5rem }} code {{ background: #8882; padding: .1em .3em; border-radius: .2em }}
table {{ border-collapse: collapse; width: 100% }} td, th {{ text-align: left; padding: .2rem .5rem;
border-top: 1px solid #8884; vertical-align: top }} :root {{ color-scheme: light dark }}
</style>
<h1>{title} <small>{version}</small></h1>
<p>{description}</p>
<p>For programs: <a href="openapi.json">openapi.json</a></p>
"""
_BOUNDS = ("default", "minimum", "maximum", "minLength", "maxLength", "maxItems", "enum", "pattern")


def docs_page(document: dict[str, Any]) -> str:
    """The HTML page, with every operation and every schema."""
    return "".join(_pieces(document))


def _pieces(document: dict[str, Any]) -> Iterator[str]:
    info = {name: escape(str(value)) for name, value in document["info"].items()}
    yield _HEAD.format(**info)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield from _operation(f"{method.upper()} {path}", operation)
    yield "<h1>Schemas</h1>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{_text(schema)}</p>'
        yield _table((escape(each), *_typed(value)) for each, value in schema["properties"].items())


def _operation(title: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h2>{escape(operation['summary'])}</h2><p><code>{escape(title)}</code></p>"
    yield f"<p>{_text(operation)}</p>"
    yield _table(
        (f"{escape(each['name'])} <small>({each['in']})</small>", *_typed(each["schema"], each))
        for each in operation.get("parameters", ())
    )
    yield "<p>Responses:</p>"
    yield _table(
        (escape(status), ", ".join(_answers(answer)), _text(answer))
        for status, answer in operation["responses"].items()
    )


def _answers(answer: dict[str, Any]) -> Iterator[str]:
    for media_type, content in answer.get("content", {}).items():
        yield f"<code>{escape(media_type)}</code> {_kind(content.get('schema', {}))}"


def _typed(schema: dict[str, Any], described: dict[str, Any] | None = None) -> tuple[str, str]:
    bounds = {name: schema[name] for name in _BOUNDS if name in schema}
    for each in schema.get("anyOf", ()):
        bounds |= {name: each[name] for name in _BOUNDS if name in each}
    notes = [f"{name} {escape(str(value))}" for name, value in bounds.items()]
    return _kind(schema), "; ".join([_text(described or schema), *notes]).removeprefix("; ")


def _kind(schema: dict[str, Any]) -> str:
    """The schema's type in a few words, with links to other schemas."""
    if reference := schema.get("$ref"):
        name = escape(reference.rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if choices := schema.get("anyOf"):
        return " or ".join(map(_kind, choices))
    if items := schema.get("items"):
        return f"list of {_kind(items)}"
    return escape(schema.get("format") or schema.get("type", "any"))


def _text(described: dict[str, Any]) -> str:
    return escape(described.get("description", ""))


def _table(rows: Iterator[tuple[str, ...]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{body}</table>"
