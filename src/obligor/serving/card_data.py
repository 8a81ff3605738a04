"""No number of a payment card enters: a request that holds one anywhere is refused, whatever the profile says.

Obligor keeps no card data, so that it needs no vault for them. *Off* says that none may enter, and *enforce* says the same in
this version. The gate `pci` passes for every application that came this far: it was searched. Where it is not off, it tells of
what only just is no number, too, which is refused in no state.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Final

from obligor.core.card_numbers import (
    LEAST,
    find_card_number,
    find_split,
    holds_card_number,
    resembles_card_number,
    resembles_split,
)
from obligor.core.errors import ApplicationError, Problem
from obligor.serving.gates.gate import GateResult
from obligor.serving.telemetry.meter import RESEMBLANCES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from obligor.core.application import Application
    from obligor.core.profile import GateName
    from obligor.serving.telemetry.meter import Meter, Resemblance

_SAID: Final = "holds what is the number of a payment card, or could be one; none may enter"
UNSEARCHED: Final = frozenset(
    {
        *("authorization", "dpop", "content-length", "x-forwarded-for"),
        *("traceparent", "tracestate", "x-cloud-trace-context", "x-datadog-trace-id", "x-datadog-parent-id"),
    }
)
"""Headers that are not kept, and whose digits stand there by chance: those of who is in between come without being asked for.

Of random ones of 64 bits, as the load balancers of Google Cloud and the tracer of Datadog write them, one to four in a hundred
would be refused.
"""
_UNSEARCHED: Final = frozenset(map(str.encode, UNSEARCHED))
_SEARCHED: Final = {"searched": "card-numbers/1"}
_PASSED: Final[Mapping[tuple[Resemblance, ...], GateResult]] = {
    (): GateResult("pass", _SEARCHED),
    **{it: GateResult("pass", _SEARCHED | {"resembling": it}) for it in (("check_digit",), ("split",), RESEMBLANCES)},
}
"""By what an application resembles: each is written down once."""
_NAMED: Final = re.compile(rb"((?:^|&)[^=&]+)=")
"""The name of a part of a query: the sign after it is no escape of what follows."""
_MOST_REPEATED: Final = 1024
"""Bytes of headers that are remembered as searched."""
_UNREPEATED: Final = frozenset((b"idempotency-key", b"cookie"))
"""Headers with which none are remembered: they are new with each request, or secret."""
_LEAST: Final = 10.0 ** (LEAST - 1)
_BETWEEN: Final = " x "
"""Holds texts apart, so that no digits of two make a number."""


class CardDataError(ApplicationError):
    """A request that holds the number of a payment card: all of it is refused, whatever else it asks for."""


class CardData:
    """The gate `pci`: the use case has refused whatever holds a number, before any gate is asked."""

    name: Final[GateName] = "pci"

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def at_once(self, application: Application, *, at: datetime) -> GateResult:  # noqa: ARG002  as every gate
        """Tell that the application was searched, and whether something in it all but is a number."""
        rows = [application.fields, *chain.from_iterable(application.histories.values())]
        found = _resembling([text for row in rows for it in row.values() if (text := _text(it))])
        for why in found:
            self._meter.resembled(why)
        return _PASSED[found]

    async def evaluate(self, application: Application, *, at: datetime) -> GateResult:
        """Tell that the application was searched."""
        return self.at_once(application, at=at)


def _text(value: object) -> str:
    """Give a text, or a number that is long enough for a card's, as a text; of anything else none."""
    if value.__class__ is str:
        return str(value)
    return str(int(value)) if isinstance(value, float) and value >= _LEAST else ""


def _resembling(texts: Sequence[str]) -> tuple[Resemblance, ...]:
    found = (resembles_card_number(_BETWEEN.join(texts)), resembles_split(texts))
    return tuple(why for why, is_so in zip(RESEMBLANCES, found, strict=True) if is_so)


def refuse_card_data(said: bytes | Mapping[str, object], *, place: int | None = None) -> None:
    """Refuse a body, or an application at its place among many, that holds a number.

    Raises
    ------
    CardDataError
        Telling the field, never what it says.
    """
    found = find_card_number(said if isinstance(said, bytes) else json.dumps(said, default=str).encode())
    if found is not None:
        raise _refusal(found if place is None else ("applications", place, *found))


def refuse_split_card_data(application: Application, columns: Iterable[str], *, place: int | None = None) -> None:
    """Refuse an application whose columns of text hold a number between them.

    Raises
    ------
    CardDataError
        Without a field: it is in several.
    """
    fields = application.fields
    texts = [it for it in map(fields.get, columns) if it.__class__ is str and it]
    if len(texts) > 1 and find_split(texts):
        raise _refusal(() if place is None else ("applications", place))


def refuse_card_data_in(name: str, text: str) -> None:
    """Refuse a text that a request has beside its body, by its name.

    Raises
    ------
    CardDataError
        Telling the name.
    """
    if holds_card_number(text):
        raise _refusal((name,))


def refuse_card_data_in_headers(headers: Iterable[tuple[bytes, bytes]], *, but: Collection[bytes] = ()) -> None:
    """Refuse a request whose headers hold a number; ``but`` names those that are searched by themselves.

    Raises
    ------
    CardDataError
        Telling so much.
    """
    searched = [it for it in headers if it[0] not in _UNSEARCHED and it[0] not in but]
    lines = b"\n".join([b"%b\n%b" % it for it in searched])
    if len(lines) <= _MOST_REPEATED and _UNREPEATED.isdisjoint([name for name, _ in searched]):
        _refuse_lines_once(lines)
    else:
        _refuse_lines(lines)


def _refuse_lines(lines: bytes) -> None:
    if holds_card_number(lines):
        raise _refusal(("headers",))


_refuse_lines_once = lru_cache(maxsize=256)(_refuse_lines)
"""A client sends the same with each request; what is refused is not remembered."""


def refuse_card_data_in_address(path: bytes, query: bytes) -> None:
    """Refuse a request whose address holds a number.

    Raises
    ------
    CardDataError
        Telling so much.
    """
    said = query.replace(b"+", b" ")
    if holds_card_number(b"%b\n%b\n%b" % (path, said, _NAMED.sub(rb"\1\n", said))):
        raise _refusal(("address",))


def _refusal(path: tuple[str | int, ...]) -> CardDataError:
    return CardDataError(f"the request {_SAID}", problems=(Problem(path, _SAID),))
