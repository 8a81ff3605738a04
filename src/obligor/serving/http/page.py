"""The OpenAPI document as one page that needs nothing else: no script, no font, no asset from anywhere."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Any

from obligor.core.canonical import readable_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
body { color: #1b1f24; background: #fff; }
h1, h2, h3 { line-height: 1.2; }
code, pre { font: 14px/1.45 ui-monospace, monospace; background: #f3f4f6; border-radius: 4px; }
code { padding: 0 .25em; overflow-wrap: anywhere; }
pre { padding: .75rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #d0d7de; }
details { border: 1px solid #d0d7de; border-radius: 6px; padding: .5rem .75rem; margin: .5rem 0; }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4em; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e6e6; background: #16191d; }
  code, pre { background: #22272e; }
  th, td, details { border-color: #3d444d; }
  a { color: #79b8ff; }
}
"""
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
CONTENT_POLICY = (
    b"content-security-policy",
    (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ).encode(),
)
_REFERENCE = "#/components/schemas/"


def page_of(document: Mapping[str, Any]) -> bytes:
    """Write the page."""
    return "\n".join(_lines(document)).encode()


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    yield "<!doctype html>"
    yield f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{_STYLE}</style></head><body><main>"
    yield f"<h1>{title}</h1><p>{escape(document['info']['description'])}</p>"
    yield '<p>For programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p><h2>Routes</h2>'
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield from _operation(path, method, operation)
    yield "<h2>Bodies</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield from _schema(name, schema)
    yield "</main></body></html>"


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code> {_words(operation, 'summary')}</summary>"
    yield f"<p>{_words(operation, 'description')}</p>"
    rows = [
        (it["name"], it["in"], "yes" if it.get("required") else "no", it.get("description", ""))
        for it in operation.get("parameters", ())
    ]
    if rows:
        yield from _table(("parameter", "in", "needed", "what it is"), rows)
    body = operation.get("requestBody")
    if body:
        yield f"<p>Body: {_content(body)}. {escape(body.get('description', ''))}</p>"
    statuses = sorted(operation["responses"].items())
    yield "<table><thead><tr><th>status</th><th>when</th><th>body</th></tr></thead><tbody>"
    for status, it in statuses:
        yield f"<tr><td>{escape(status)}</td><td>{_words(it, 'description')}</td><td>{_content(it)}</td></tr>"
    yield "</tbody></table></details>"


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
    yield f"<p>{_words(schema, 'description')}</p>"
    needed = schema.get("required", ())
    rows = [
        (field, _type(it), "yes" if field in needed else "no", it.get("description", ""))
        for field, it in schema.get("properties", {}).items()
    ]
    if rows:
        yield from _table(("field", "type", "needed", "what it is"), rows)
    for example in schema.get("examples", ()):
        yield f"<p>An invented example:</p><pre>{escape(readable_json(example).decode())}</pre>"
    yield "</details>"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield f"<table><thead><tr>{''.join(f'<th>{it}</th>' for it in head)}</tr></thead><tbody>"
    for first, *rest in rows:
        yield f"<tr><td><code>{escape(first)}</code></td>{''.join(f'<td>{escape(it)}</td>' for it in rest)}</tr>"
    yield "</tbody></table>"


def _words(of: Mapping[str, Any], name: str) -> str:
    return escape(str(of.get(name, "")))


def _content(of: Mapping[str, Any]) -> str:
    return ", ".join(
        f"<code>{escape(kind)}</code> {_link(it.get('schema', {}))}" for kind, it in of.get("content", {}).items()
    )


def _link(schema: Mapping[str, Any]) -> str:
    name = str(schema.get("$ref", "")).removeprefix(_REFERENCE)
    return f'<a href="#{escape(name)}">{escape(name)}</a>' if name else ""


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REFERENCE)
    kinds = schema.get("type", "")
    if not kinds and "anyOf" in schema:
        return " or ".join(_type(it) for it in schema["anyOf"])
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
