"""JSON that says one thing only: no key twice, no number that JSON does not know; and models read from it."""

from __future__ import annotations

import json
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from obligor.core.canonical import canonical_json, readable_json, sha256
from obligor.core.errors import ApplicationError, Problem
from obligor.core.faults import first_fault, is_name

if TYPE_CHECKING:
    from obligor.core.errors import InvalidInputError

MOST_VALUES = 4_000_000
_MOST_ODD = 20
Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """A part of what is read from strict JSON: frozen, exact in its types, nothing unknown."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Artefact(StrictModel):
    """What stands in a file of its own, and is named by its hash: a card, a policy, a compliance profile."""

    def to_json(self) -> bytes:
        """Write it as readable JSON; the same gives the same bytes."""
        return readable_json(self.model_dump(mode="json", by_alias=True))

    @property
    def sha256(self) -> str:
        """The hash of all that it says, whatever the white space of its file and the offset of its instants."""
        return sha256(canonical_json(self.model_dump(mode="json", by_alias=True)))


def read_model(data: bytes, model: type[Model], *, what: str, error: type[InvalidInputError], most: int) -> Model:
    """Read a model from the bytes of its file, of which there may be so many.

    Raises
    ------
    InvalidInputError
        Of the kind given, where it is too large, is not JSON, says something twice, lacks something, or contradicts itself.
    """
    if len(data) > most:
        raise error(f"{what}: {len(data)} bytes are more than {most}")
    if data.count(b",") > MOST_VALUES:  # before a list of ten million bins takes a gigabyte
        raise error(f"{what}: holds more than {MOST_VALUES} values")
    read_strict_json(data, what=what, error=error)
    try:
        return model.model_validate_json(data)
    except ValidationError as fault:
        raise error(f"{what}: {first_fault(fault)}") from None


def read_strict_json(data: bytes, *, what: str, error: type[InvalidInputError]) -> object:
    """Read JSON, and refuse what readers take in different ways; messages name keys and places, never a value.

    Raises
    ------
    InvalidInputError
        Of the kind given, where it is not JSON, says a key twice, or holds NaN or an infinity; an ``ApplicationError``
        tells at which field.
    """
    odd = _Oddities(what, error)
    try:
        found = json.loads(data, object_pairs_hook=odd.once, parse_constant=odd.constant)
        odd.refuse(found)
    except UnicodeDecodeError as fault:
        raise error(f"{what}: is not JSON: byte {fault.start} is no {fault.encoding}") from None
    except json.JSONDecodeError as fault:
        raise error(f"{what}: is not JSON: {fault}") from None
    except RecursionError:
        raise error(f"{what}: is not JSON that can be read: it is nested too deep") from None
    except ValueError:  # a whole number of more digits than Python reads
        raise error(f"{what}: holds a number with too many digits") from None
    return found


class _Odd(NamedTuple):
    """What stands in the place of a value that readers take in different ways."""

    within: tuple[str | int, ...]
    message: str


class _Oddities:
    """What is odd about a text of JSON, met while it is read, and refused by its place once that is known."""

    def __init__(self, what: str, error: type[InvalidInputError]) -> None:
        self._what, self._error = what, error
        self._met = 0

    def once(self, pairs: list[tuple[str, object]]) -> object:
        """Take the pairs of an object, unless a key stands twice."""
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        return self._meet(_Odd((twice,), f"{f'the key {twice!r}' if is_name(twice) else 'a key'} stands twice"))

    def constant(self, text: str) -> object:
        """Take no number that JSON does not know."""
        return self._meet(_Odd((), f"{text} is not a number that JSON knows"))

    def _meet(self, odd: _Odd) -> _Odd:
        self._met += 1
        if self._met > _MOST_ODD:  # a body of nothing else gets no memory for each
            raise self._error(f"{self._what}: {odd.message}")
        return odd

    def refuse(self, found: object) -> None:
        """Refuse what was read, by the first place at which something is odd, as far as names tell it."""
        if not self._met or (odd := _first_odd(found)) is None:
            return
        told = self._error(f"{self._what}: {odd.message}")
        if isinstance(told, ApplicationError):
            named = takewhile(lambda at: isinstance(at, int) or is_name(at), odd.within)
            told.problems = (Problem(tuple(named), odd.message),)
        raise told


def _first_odd(value: object) -> _Odd | None:
    """Find what is odd within a value, with the way to it."""
    if isinstance(value, _Odd):
        return value
    inner = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for at, each in inner:
        if (odd := _first_odd(each)) is not None:
            return _Odd((at, *odd.within), odd.message)
    return None
