"""The OpenAPI document of the service: its routes, and the application that the release in force reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from obligor import __version__
from obligor.core.errors import UnavailableError
from obligor.serving.encoding import encode_in_order
from obligor.serving.http import (
    action_shapes,
    alert_shapes,
    decision_shapes,
    order_shapes,
    override_shapes,
    people_shapes,
    review_shapes,
    shapes,
)
from obligor.serving.http.page import page_of
from obligor.serving.http.schema import application_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

    from obligor.serving.releases.release import Release

_ABOUT = (
    "Credit decisions with principal reasons, each in a tamper-evident audit log before it is answered. "
    "Errors are problems (RFC 9457) with a `type` that does not change; they name fields and never repeat a value. "
    "Parameters and fields that are not known are refused."
)
_MOST_AT_ONCE = 1000
_BODIES = (
    *(shapes.Problem, shapes.Credentials, decision_shapes.Report, decision_shapes.RevealAsked),
    *(review_shapes.ReviewAsked, review_shapes.ReviewFound, override_shapes.OverrideAsked),
    *(action_shapes.OfferMade, action_shapes.OfferAnswered, action_shapes.Incomplete),
    *(alert_shapes.ClearanceAsked, alert_shapes.ConfirmationAsked, alert_shapes.AlertReportAsked),
    alert_shapes.YearlyReportAsked,
    *(people_shapes.NewUser, people_shapes.NamedUser, people_shapes.NamedRole),
    *(people_shapes.Withdrawal, people_shapes.NewProfile),
    *(order_shapes.PersonNamed, order_shapes.ErasureAsked, order_shapes.HoldAsked, order_shapes.ReleaseAsked),
    *(order_shapes.NewApiKey, order_shapes.Rotation, order_shapes.NamedKey),
)
"""The models that no route returns."""


class Document:
    """The document, made anew when another release is in force."""

    def __init__(self, app: FastAPI, release: Callable[[], Release]) -> None:
        self._app = app
        self._release = release
        self._made_for: int | None = None
        self._plain: dict[str, Any] = {}
        self._json = self._page = b""

    def as_page(self) -> bytes:
        """Give it as a page, which is written when it is first asked for: anybody may ask."""
        self._keep_up()
        self._page = self._page or page_of(self._plain)
        return self._page

    def as_json(self) -> bytes:
        """Give it as JSON."""
        self._keep_up()
        return self._json

    def _keep_up(self) -> None:
        try:
            release = self._release()
        except UnavailableError:
            release = None
        number = release.number if release else 0
        if number != self._made_for:
            self._plain = _written(self._app, release)
            self._json, self._page = encode_in_order(self._plain), b""
            self._made_for = number


def _application(release: Release | None) -> dict[str, Any]:
    if release is None:
        return {"type": "object", "description": "What it holds is not known: no release is in force."}
    return application_schema(release.reader.form, release.card, release=release.number)


def _written(app: FastAPI, release: Release | None) -> dict[str, Any]:
    plain = get_openapi(
        title="Obligor", version=__version__, openapi_version="3.1.0", description=_ABOUT, routes=app.routes
    )
    schemas = plain.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for model in _BODIES:
        made = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= made.pop("$defs", {}) | {model.__name__: made}
    schemas["Application"] = _application(release)
    schemas["Applications"] = {
        "type": "object",
        "title": "Applications",
        "additionalProperties": False,
        "required": ["applications"],
        "properties": {
            "applications": {
                "type": "array",
                "maxItems": _MOST_AT_ONCE,
                "description": "What is no application gets its problem in place of a decision.",
                "items": {"$ref": "#/components/schemas/Application"},
            }
        },
    }
    plain["servers"] = [{"url": "/"}]
    for operation in (it for methods in plain["paths"].values() for it in methods.values()):
        operation.setdefault("security", [])
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = _given(parameter["schema"])
    told: dict[str, Any] = _for_generators(plain)
    return told


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of a parameter where it is given: a query knows no null."""
    match schema:
        case {"anyOf": [dict(it), {"type": "null"}], **beside}:
            return it | beside
    return schema


def _for_generators(node: Any) -> Any:
    """Write schemas in the form from which generators of clients make the plainest types.

    A number is a double: without the format, those for Go keep seven digits of an amount. What may be null has two types: of a
    choice between a type and null, those for Java make a class of its own (of an object they make nothing else that compiles).
    A default of null says that it may be absent, which those for TypeScript take for what is always there.
    """
    if isinstance(node, list):
        return [_for_generators(it) for it in node]
    if not isinstance(node, dict):
        return node
    told = {name: it if name in ("examples", "example") else _for_generators(it) for name, it in node.items()}
    match told:
        case {"anyOf": [{"type": str(type_), **more}, {"type": "null"}], **beside} if not (
            type_ == "object" or "enum" in more
        ):
            told = more | beside | {"type": [type_, "null"]}
    if "default" in told and told["default"] is None:
        del told["default"]
    if told.get("type") in ("number", ["number", "null"]):
        told.setdefault("format", "double")
    return told
