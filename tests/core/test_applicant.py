"""What an application may say of its applicant: for the gates that are on, and for nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from tests.serving import golden_decisions as golden
from tests.serving.gated import release_of

from obligor.core.applicant import APPLICANT, applicant_columns
from obligor.core.application import form_of
from obligor.core.errors import ApplicationError, CardError

READ = {
    "aml": {"applicant_name", "applicant_aliases", "applicant_birth_date", "applicant_number"},
    "kyc": {
        "applicant_name",
        "applicant_birth_date",
        "applicant_address",
        "applicant_id_number",
        "applicant_evidence",
    },
}
GOOD: dict[str, Any] = {
    "applicant_name": "Jane Example",
    "applicant_aliases": "J. Sample; \u00c5sa",
    "applicant_birth_date": "1980-02-29",
    "applicant_number": "C-1",
    "applicant_address": "1 Street",
    "applicant_id_number": "X7",
    "applicant_evidence": "E1",
}


@pytest.mark.parametrize(("aml", "kyc"), [*product(("off", "monitor", "enforce"), repeat=2)])
def test_a_field_is_let_through_where_a_gate_that_is_on_reads_it_and_refused_elsewhere(aml: str, kyc: str) -> None:
    release = release_of(aml=aml, kyc=kyc)
    wanted = {name for gate, state in (("aml", aml), ("kyc", kyc)) if state != "off" for name in READ[gate]}
    assert applicant_columns(release.profile).keys() == wanted
    application = golden.applications(1)[0]
    for name, value in GOOD.items():
        asked = application | {name: value}
        for it in (asked, json.dumps(asked).encode()):
            if name in wanted:
                assert name in release.read(it).fields
                assert name in release.read({**application, name: None}).fields
            else:
                with pytest.raises(ApplicationError, match=f"'{name}' is not known"):
                    release.read(it)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("applicant_name", 7),
        ("applicant_name", ["Jane"]),
        ("applicant_name", "J" * 1001),
        ("applicant_name", "Jane\u202eExample"),
        ("applicant_birth_date", "29.02.1980"),
        ("applicant_birth_date", "1981-02-29"),
        ("applicant_birth_date", 19800229),
    ],
)
def test_a_value_of_another_kind_or_too_long_is_refused_and_not_repeated(name: str, value: object) -> None:
    release = release_of(aml="monitor")
    with pytest.raises(ApplicationError) as caught:
        release.read(golden.applications(1)[0] | {name: value})
    assert [it.path for it in caught.value.problems] == [(name,)]
    assert "Jane" not in str(caught.value)


def test_every_field_of_the_applicant_is_personal_and_none_is_needed() -> None:
    release = release_of(aml="enforce", kyc="enforce")
    form = release.reader.form
    assert {name: it.privacy for name, it in form.columns.items() if name in APPLICANT} == dict.fromkeys(GOOD, "direct")
    assert not set(form.needed) & APPLICANT.keys()


def test_nothing_that_an_applicant_says_of_themselves_scores() -> None:
    release = release_of(aml="monitor", kyc="monitor")
    application = golden.applications(1)[0]
    one, other = (release.assess(release.read(it), at=golden.START) for it in (application, application | GOOD))
    assert one == other
    assert not APPLICANT.keys() & (release.scorer.inputs.keys() | release.policy_reader.inputs.keys())


def test_a_card_cannot_have_a_column_of_such_a_name() -> None:
    release = release_of()
    columns = release.card.applications.columns
    taken = {**columns, "applicant_name": next(iter(columns.values()))}
    card = release.card.model_copy(
        update={"applications": release.card.applications.model_copy(update={"columns": taken})}
    )
    with pytest.raises(CardError, match="the column 'applicant_name': the name is kept"):
        form_of(replace(release.scorer, card=card))
