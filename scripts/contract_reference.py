"""Writes the reference of the contract from its types: ``python scripts/contract_reference.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from obligor.core.contract import Contract

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "contract.md"
SCHEMA = ROOT / "docs" / "reference" / "contract.schema.json"

_HEAD = """\
# The contract

One YAML file says all that Obligor needs to know of a portfolio. This page is written from the types
(`python scripts/contract_reference.py`); [contract.schema.json](contract.schema.json) is the same for editors: put
`# yaml-language-server: $schema=contract.schema.json` at the top of a contract and it completes as you type.

`obligor contract check C.yaml` tells every mistake with its line; `obligor contract draft TAPE` proposes a contract.
The contracts under `configs/contracts/` are worked examples.
"""

_LONG = 60
_TYPES = {"string": "text", "integer": "whole number", "boolean": "yes or no"}


def render() -> str:
    """Write the page."""
    schema = Contract.model_json_schema()
    parts = [_HEAD, _section("The file", schema)]
    parts += [_section(name, schema["$defs"][name]) for name in _reachable(schema)]
    return "\n".join(parts)


def schema_text() -> str:
    """Write the JSON Schema."""
    return json.dumps(Contract.model_json_schema(), indent=1) + "\n"


def _reachable(schema: dict[str, Any]) -> list[str]:
    found: list[str] = []
    waiting = _references(schema["properties"])
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += _references(schema["$defs"][name])
    return found


def _references(part: object) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"].rsplit("/", 1)[-1]] if "$ref" in part else []
        return own + [name for value in part.values() for name in _references(value)]
    if isinstance(part, list):
        return [name for value in part for name in _references(value)]
    return []


def _section(name: str, model: dict[str, Any]) -> str:
    lines = [f"## {name}", "", " ".join(model.get("description", "").split()), ""]
    if "enum" in model:
        return "\n".join([*lines, "One of " + ", ".join(f"`{value}`" for value in model["enum"]) + ".", ""])
    lines += ["| key | type | without it | meaning |", "|---|---|---|---|"]
    required = model.get("required", [])
    for key, value in model["properties"].items():
        default = "required" if key in required else _default(value)
        meaning = " ".join(value.get("description", "").split()).replace("|", "\\|")
        lines.append(f"| `{key}` | {_type(value)} | {default} | {meaning} |")
    return "\n".join([*lines, ""])


def _default(value: dict[str, Any]) -> str:
    if "default" not in value or value["default"] in (None, "", [], {}):
        return ""
    text = json.dumps(value["default"])
    return f"`{text}`" if len(text) < _LONG else "see below"


def _type(value: dict[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_type(each) for each in value["anyOf"] if each.get("type") != "null"))
    if "enum" in value or "const" in value:
        return ", ".join(f"`{each}`" for each in value.get("enum", [value.get("const")]))
    if value.get("type") == "array":
        return f"list of {_type(_inner(value.get('items')))}"
    if value.get("type") == "object":
        return f"mapping to {_type(_inner(value.get('additionalProperties')))}"
    kind = value.get("type", "any")
    return "date" if value.get("format") == "date" else _TYPES.get(kind, kind)


def _inner(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"type": "any"}


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
