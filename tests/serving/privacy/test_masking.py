"""Every field that anything tells has a class, and by it is masked to everybody but whoever sent it."""

from __future__ import annotations

import inspect
from dataclasses import replace
from datetime import date
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.http.fakes import small_release

from obligor.adapters.store.tables import METADATA
from obligor.core.application import form_of
from obligor.core.columns import Column, Role
from obligor.core.scorer import compile_card
from obligor.serving import http
from obligor.serving.grpc.decisions_pb2 import DESCRIPTOR
from obligor.serving.http.shapes import Shape
from obligor.serving.privacy.masking import FIELDS, HIDDEN, Masks, class_of, masked
from obligor.serving.telemetry.journal import FIELDS as TOLD_IN_THE_JOURNAL
from obligor.serving.telemetry.tracing import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Iterator

MASKS = small_release().masks
PRIVATE = Masks({"age": "quasi", "name": "direct", "pan": "card", "id": "identifier", "sex": "protected"}, frozenset())


def of_answers() -> Iterator[tuple[str, str]]:
    modules = [import_module(it.name) for it in iter_modules(http.__path__, f"{http.__name__}.") if "shapes" in it.name]
    assert len(modules) >= 5
    for name, model in (it for of in modules for it in inspect.getmembers(of, inspect.isclass)):
        if issubclass(model, Shape):
            yield from ((f"{name}.{field}", field) for field in model.model_fields)


def of_calls() -> Iterator[tuple[str, str]]:
    for message in DESCRIPTOR.message_types_by_name.values():
        yield from ((f"{message.name}.{it.name}", it.name) for it in message.fields)


def of_exports() -> Iterator[tuple[str, str]]:
    """A dump of the store, and whatever is read of it, has these columns."""
    for table in METADATA.tables.values():
        yield from ((f"{table.name}.{it.name}", it.name) for it in table.columns)


@pytest.mark.parametrize(
    ("place", "field"), [*of_answers(), *of_calls(), *of_exports()], ids=lambda it: it if "." in str(it) else ""
)
def test_every_field_of_an_answer_and_every_column_of_the_store_is_classified(place: str, field: str) -> None:
    assert field.rstrip("_") in FIELDS, f"{place}: add it to the table in serving/privacy/masking.py"


def test_the_table_names_no_field_that_there_is_not() -> None:
    in_records = "bins commitment erased idempotency_key input input_sha256"
    of_oneself = "explanation unexplained decided_by factor given effect together instead decided_again of_changes"
    known = {field.rstrip("_") for _, field in (*of_answers(), *of_calls(), *of_exports())}
    assert set(FIELDS) - known == {*in_records.split(), *of_oneself.split(), "rule", "sealed"}


def test_what_is_logged_and_traced_tells_of_no_person() -> None:
    """The journal and the traces have lists of their own, of fields and of their shapes; none is a field that is masked."""
    for name in (*TOLD_IN_THE_JOURNAL, *ATTRIBUTES):
        assert FIELDS.get(name, "open") in ("open", "sealed") or name == "key_id"


def test_a_field_that_is_in_no_table_is_masked_rather_than_told() -> None:
    assert MASKS.told({"decision_id": "d", "maiden_name": "Byron"}, "masked") == {
        "decision_id": "d",
        "maiden_name": HIDDEN,
    }


def test_what_the_client_calls_an_application_is_whole_to_the_client_and_masked_to_others() -> None:
    answer = {"application_id": "A-2026-0007-XK", "score": 520.5, "reasons": [{"code": "c", "text": "t"}]}
    assert MASKS.told(answer, "own") == answer
    assert MASKS.told(answer, "masked") == answer | {"application_id": "***-XK"}
    assert MASKS.told({"application_id": "A-17"}, "masked") == {"application_id": HIDDEN}
    assert MASKS.told({"application_id": None}, "masked") == {"application_id": None}


def test_a_bin_is_told_only_of_what_is_not_personal() -> None:
    personal = next(iter(MASKS.personal), None)
    assert personal is not None
    told = MASKS.told(
        {"contributions": [{"feature": personal, "bin": "[1, 2)"}, {"feature": "none such", "bin": "x"}]}, "masked"
    )
    assert [it["bin"] for it in told["contributions"]] == [HIDDEN, "x"]


@pytest.mark.parametrize(
    ("privacy", "roles", "of"),
    [
        ("none", [], "none"),
        ("quasi", [], "quasi"),
        ("direct", [], "direct"),
        ("card", [], "card"),
        ("none", ["identifier"], "identifier"),
        ("quasi", ["identifier"], "identifier"),
        ("direct", ["identifier"], "direct"),
        ("none", ["protected"], "protected"),
        ("quasi", ["protected"], "protected"),
        ("direct", ["protected"], "direct"),
    ],
)
def test_a_column_is_masked_by_what_it_tells_and_by_what_it_is_for(privacy: Any, roles: list[str], of: str) -> None:
    assert class_of(Column(type="text", privacy=privacy, role=tuple(map(Role, roles)))) == of


def test_what_is_made_of_a_personal_column_or_of_a_history_is_personal() -> None:
    card = small_release().card
    form = form_of(compile_card(card))
    assert Masks.of(form, card).personal == {"lines"}
    income = form.columns["income"].model_copy(update={"privacy": "quasi"})
    masks = Masks.of(replace(form, columns={**form.columns, "income": income}), card)
    assert masks.personal == {"income", "ratio", "lines"}
    assert (masks.class_of("income"), masks.class_of("amount"), masks.class_of("bureau")) == (
        "quasi",
        "none",
        "history",
    )


def test_what_an_application_says_is_masked_field_by_field_and_a_history_to_its_length() -> None:
    said = {"age": 42.0, "name": "Zo\u00eb", "past": [{"balance": 5}], "more": 7}
    told = {"age": "about 4e+01", "name": HIDDEN, "past": {"rows": 1}, "more": HIDDEN}
    assert PRIVATE.told({"input": said, "corrections": None, "values": "Zo\u00eb"}, "masked") == {
        "input": told, "corrections": None, "values": HIDDEN,
    }  # fmt: skip
    assert PRIVATE.said({"id": None, "age": None}, "pseudonymised", tag=str) == {"id": None, "age": None}
    assert PRIVATE.told({"statement": None, "factors": [{"text": "Zo\u00eb"}], "password": "p"}, "masked") == {
        "statement": None, "factors": HIDDEN, "password": HIDDEN,
    }  # fmt: skip
    assert PRIVATE.told({"sealed": "c2VhbGVk"}, "masked") == {"sealed": "c2VhbGVk"}


def test_what_is_told_of_a_feature_is_masked_by_the_feature_that_it_stands_in() -> None:
    masks = Masks({}, frozenset({"lines"}))
    told = {"feature": "lines", "changes": [{"from_bin": "1", "feature": "ratio"}, {"from_bin": "2"}]}
    assert masks.told(told, "masked")["changes"] == [{"from_bin": "1", "feature": "ratio"}, {"from_bin": HIDDEN}]


@pytest.mark.parametrize(
    ("value", "of", "told"),
    [
        (42.0, "quasi", "about 4e+01"),
        ("1970-05-01", "quasi", "1970"),
        (date(1970, 5, 1), "quasi", "1970"),
        ("Hamburg", "quasi", HIDDEN),
        (True, "quasi", HIDDEN),
        ("Zoë Canary-Byron", "direct", "***ron"),
        ("Zoë", "direct", HIDDEN),
        ("4111 1111 1111 1111", "card", "***1111"),
        ("tok_1", "card", HIDDEN),
        ("female", "protected", HIDDEN),
        ("C-1042", "identifier", HIDDEN),
        (None, "direct", None),
        ("car", "none", "car"),
    ],
)
def test_a_value_is_masked_by_its_class(value: object, of: Any, told: object) -> None:
    assert masked(value, of) == told


@given(name=st.text(min_size=9, max_size=40))
def test_of_a_name_no_more_than_three_characters_are_told(name: str) -> None:
    assert str(masked(name, "direct")).removeprefix(HIDDEN) == name[-3:]


def test_who_builds_models_sees_of_one_person_one_tag_and_no_name() -> None:
    said = {"age": 42.0, "name": "Zoë Canary", "pan": "4111111111111111", "id": "C-1042", "sex": "f", "past": [{}, {}]}
    told = PRIVATE.said(said, "pseudonymised", tag=lambda it: f"tag:{hash(it)}")
    assert told["id"] == PRIVATE.said({"id": "C-1042"}, "pseudonymised", tag=lambda it: f"tag:{hash(it)}")["id"]
    assert {told[it][:4] for it in ("name", "pan", "id")} == {"tag:"}
    assert (told["age"], told["sex"], told["past"]) == ("about 4e+01", HIDDEN, {"rows": 2})
    assert "Canary" not in str(told)
