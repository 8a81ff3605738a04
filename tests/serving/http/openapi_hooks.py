"""What an OpenAPI document cannot say, told to Schemathesis: it reads this file as its hooks.

A key of its own for every request that is meant to be taken (one that was used for another body is refused), the days of a
report and of an offer, what is offered and what is missing, the rows of one applicant alone, that a request for a review says
something and corrects what there is, that a password is not one character again and again, that a reason and a name are lines,
that days and hours are whole numbers without a fraction, that a network has no bits beyond its prefix, that minus zero is no
number here, and that of many applications one that is none is answered with its problem.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import schemathesis
from schemathesis import GenerationMode


@schemathesis.hook
def before_load_schema(_context: Any, schema: dict[str, Any]) -> None:
    many = schema["components"]["schemas"]["Applications"]["properties"]["applications"]
    many["items"] = {"anyOf": [many["items"], {}]}


@schemathesis.hook
def before_call(_context: Any, case: Any, _named: Any) -> None:
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = uuid4().hex
    case.body = _said(case.body)


def _said(body: Any) -> Any:
    if isinstance(body, dict):
        said = {name: _said(it) for name, it in body.items()}
        return _fitting(said)
    if isinstance(body, list):
        return [_said(it) for it in body]
    return 0.0 if isinstance(body, float) and body == 0 else body


def _fitting(said: dict[str, Any]) -> dict[str, Any]:
    for row in (row for it in said.values() if isinstance(it, list) for row in it if isinstance(row, dict)):
        for name in said:
            row.pop(name, None)
    if {"statement", "corrections"} & said.keys() or not said:
        said = {"statement": str(said.get("statement", "")).strip() or "a view", "corrections": {}}
    if isinstance(said.get("password"), str):
        said["password"] = f"{said['password'][:200]} of a quiet harbour"
    for line in ("because", "name"):
        if isinstance(said.get(line), str):
            said[line] = "a line"
    for whole in {"days", "overlap_hours"} & said.keys():
        said[whole] = int(said[whole])
    if isinstance(said.get("networks"), list):
        said["networks"] = [f"10.{place}.0.0/16" for place, _ in enumerate(said["networks"])]
    return said | _of_actions(said)


def _of_actions(said: dict[str, Any]) -> dict[str, Any]:
    today = datetime.now(UTC).date().isoformat()
    told: dict[str, Any] = {day: today for day in ("observed_on", "offered_on", "answered_on") if day in said}
    if "offered_on" in said:
        told |= {"terms": {}, "rate": 0.1}
    if "respond_by" in said:
        told |= {"respond_by": "2100-01-01"} | ({"fields": ["annual_income"]} if "fields" in said else {})
    return told
