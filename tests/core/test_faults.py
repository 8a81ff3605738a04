"""What is wrong with a file is told in words of our own, of whatever kind it is: where, what it got and what was wanted."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, get_args

import pytest
from pydantic_core.core_schema import ErrorType
from tests.core import test_artefacts, test_contract, test_edits

from obligor.core.contract import parse_contract
from obligor.core.edits import parse_edits
from obligor.core.errors import InvalidInputError
from obligor.core.faults import _WANTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARSED: dict[str, tuple[Callable[[bytes], Any], Any]] = {
    **{kind: (parse, json.loads(data)) for kind, (parse, data, _) in test_artefacts.KINDS.items()},
    "edits": (parse_edits, json.loads(test_edits.THREE.to_json())),
    "contract": (lambda data: parse_contract(json.loads(data)), json.loads(json.dumps(test_contract.PLAIN))),
}
_CANARY = "Zoë-Canary-7731"
_WRONG = (None, True, _CANARY, -1, 1.5, 1e308, [], {}, [None], {"canary": 1}, "")
_NOT_OURS = re.compile(
    r"Input should|Extra inputs|Field required| should (have|be|match)|[Vv]alue error|valid |another form"
)


def places(plain: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give every place within an artefact."""
    for key, inner in plain.items() if isinstance(plain, dict) else enumerate(plain):
        yield (*at, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*at, key))


def spoilt(plain: Any, at: tuple[Any, ...], to: Any) -> bytes:
    """Write an artefact with something else in one place; ``KeyError`` takes it away."""
    whole = json.loads(json.dumps(plain))
    inner = whole
    for part in at[:-1]:
        inner = inner[part]
    if to is KeyError:
        del inner[at[-1]]
    else:
        inner[at[-1]] = to
    return json.dumps(whole).encode()


@pytest.mark.parametrize("kind", PARSED)
def test_whatever_is_wrong_and_wherever_is_told_in_our_own_words_and_no_text_is_repeated(kind: str) -> None:
    parse, plain = PARSED[kind]
    refused = 0
    for at in places(plain):
        more = [(*at, "canary")] if isinstance(_at(plain, at), dict) else []
        for place, to in [*((at, wrong) for wrong in (*_WRONG, KeyError)), *((it, 1) for it in more)]:
            told = refusal(parse, spoilt(plain, place, to))
            refused += bool(told)
            assert not _NOT_OURS.search(told), (place, to, told)
            assert f"got {_CANARY!r}" not in told, (place, told)
    assert refused > 100


def refusal(parse: Callable[[bytes], Any], data: bytes) -> str:
    """Give how a file is refused; nothing where it is not."""
    try:
        parse(data)
    except InvalidInputError as error:
        return error.message
    return ""


def _at(plain: Any, at: tuple[Any, ...]) -> Any:
    for part in at:
        plain = plain[part]
    return plain


@pytest.mark.parametrize(
    ("kind", "at", "to", "told"),
    [
        ("profile", ("gates", "kyc", "state"), "offf", "gates.kyc.state: got 'offf', wanted 'off', 'monitor' or 'enforce'"),
        ("profile", ("gates", "kyc", "state"), 3, "gates.kyc.state: got 3, wanted 'off', 'monitor' or 'enforce'"),
        ("profile", ("gates", "kyc", "since"), 3, "gates.kyc.since: is a key that is not known"),
        ("profile", ("gates", "kyc"), KeyError, "gates: lacks the key 'kyc'"),
        ("profile", ("gates",), [], "gates: got a list, wanted an object"),
        ("profile", ("name",), KeyError, "lacks the key 'name'"),
        ("profile", ("name",), "Ann Smith", "name: got a text, wanted a text of the form ^[a-z0-9][a-z0-9._-]{0,79}$"),
        ("profile", ("version",), "1", "version: got a text, wanted a whole number"),
        ("profile", ("version",), 1.5, "version: got 1.5, wanted a whole number"),
        ("profile", ("version",), 0, "version: got 0, wanted at least 1"),
        ("profile", ("version",), True, "version: got true, wanted a whole number"),
        ("profile", ("effective_from",), "2026-11-26", "effective_from: got a text, wanted an instant with its"),
        ("profile", ("effective_from",), "2026-11-26T00:00:00", "effective_from: got a text, wanted an instant with"),
        ("profile", ("schema",), "obligor/profile/2", "schema: got 'obligor/profile/2', wanted 'obligor/profile/1'"),
        ("profile", ("version",), float("nan"), "NaN is not a number that JSON knows"),
        ("policy", ("grey",), 1.5, "grey: got 1.5, wanted a whole number"),
        ("policy", ("grey",), -1, "grey: got -1, wanted at least 0"),
        ("policy", ("economics", "lgd"), 1.2, "economics.lgd: got 1.2, wanted at most 1"),
        ("policy", ("grey",), "1", "grey: got a text, wanted a whole number"),
        ("policy", ("bands",), {}, "bands: got an object, wanted a list"),
        ("policy", ("schema",), "obligor/policy/9", "schema: got 'obligor/policy/9', wanted 'obligor/policy/1'"),
        ("scorecard", ("name",), None, "name: got null, wanted a text"),
        ("scorecard", ("points",), 1, "points: is a key that is not known"),
        ("scorecard", ("characteristics", 0, "coefficient"), "1", "characteristics.0.coefficient: got a text, wanted a number"),
        ("scorecard", ("characteristics", 0, "bins", 0, "points"), 0.5, "bins.0.points: got 0.5, wanted a whole number"),
        ("scorecard", ("characteristics", 0, "changeable"), 1, "characteristics.0.changeable: got 1, wanted true or false"),
        ("contract", ("applications", "columns", "income", "type"), "float", "got 'float', wanted 'number', "),
        ("contract", ("applications", "columns", "income", "typ"), "x", "unknown key 'typ'"),
        ("contract", ("outcome", "window_months"), "a year", "outcome.window_months: got a text, wanted a whole number"),
        ("contract", ("outcome", "window_months"), 0, "outcome.window_months: got 0, wanted more than 0"),
        ("contract", ("outcome", "window_months"), KeyError, "outcome: lacks the key 'window_months'"),
        ("contract", ("schema",), "obligor/contract/9", "schema: got 'obligor/contract/9', wanted 'obligor/contract/1'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_its_place_what_it_got_and_what_was_wanted(
    kind: str, at: tuple[Any, ...], to: Any, told: str
) -> None:
    parse, plain = PARSED[kind]
    with pytest.raises(InvalidInputError) as refused:
        parse(spoilt(plain, at, to))
    assert told in refused.value.message
    assert kind == "contract" or refused.value.message.startswith(f"{kind}: ")


def test_a_key_that_stands_twice_is_named() -> None:
    for kind in test_artefacts.KINDS:
        parse, data, _ = test_artefacts.KINDS[kind]
        with pytest.raises(InvalidInputError, match=f"{kind}: the key 'name' stands twice"):
            parse(data.replace(b"{", b'{"name": "a", ', 1))


@pytest.mark.parametrize("key", ["4111111111111111", "Zoë Canary", "x" * 65])
def test_a_key_that_could_be_anything_is_not_repeated(key: str) -> None:
    parse, plain = PARSED["profile"]
    with pytest.raises(InvalidInputError) as refused:
        parse(spoilt(plain, ("gates", key), {}))
    assert refused.value.message == "profile: gates: holds a key that is not known"


@pytest.mark.parametrize("kind", PARSED)
@pytest.mark.parametrize("key", ["date", "int", "str", "[key]"])
def test_a_key_that_is_called_as_a_type_is_told_as_any_other(kind: str, key: str) -> None:
    parse, plain = PARSED[kind]
    known = key == "[key]" and kind != "contract"
    assert ("holds a key" if known else key) in refusal(parse, spoilt(plain, (key,), 1))


@pytest.mark.parametrize("number", [4111111111111111, 4111111111111111.0])
def test_no_number_of_a_card_is_repeated_in_place_of_another(number: float) -> None:
    parse, plain = PARSED["profile"]
    assert refusal(parse, spoilt(plain, ("name",), number)).startswith("profile: name: got a number, wanted a text")


def test_no_number_of_a_card_is_repeated_in_place_of_a_word() -> None:
    parse, plain = PARSED["profile"]
    with pytest.raises(InvalidInputError) as refused:
        parse(spoilt(plain, ("gates", "kyc", "state"), "4111 1111 1111 1111"))
    assert "4111" not in refused.value.message


def test_the_words_are_for_faults_that_pydantic_knows() -> None:
    assert set(_WANTED) <= set(get_args(ErrorType))
