"""A service begins under the rule packs that it was given, or not at all."""

from __future__ import annotations

import asyncio
import io
import os
from datetime import date
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.governance.notices.desk import PARTICULARS, TODAY, approvals

from obligor.bootstrap.cards import check_contract, run_tape
from obligor.bootstrap.decisions import take_newest
from obligor.bootstrap.doors import Doors
from obligor.bootstrap.law import active_packs, open_stationery, refuse_forbidden_card
from obligor.bootstrap.people import open_identity
from obligor.bootstrap.releases import Made, demonstration, put_in_force, read_run
from obligor.bootstrap.service import serve_decisions
from obligor.bootstrap.store import open_store
from obligor.core.columns import Column
from obligor.core.errors import GateError, InvalidInputError, LawError
from obligor.progress import Lines
from obligor.serving.releases.release import Releases
from obligor.serving.telemetry.meter import NoMeter
from obligor.settings import read_settings

if TYPE_CHECKING:
    from pathlib import Path

    from obligor.core.policy import Policy
    from obligor.core.scorecard import Scorecard


def environ(folder: Path, packs: str = "") -> dict[str, str]:
    return {"OBLIGOR_NOTICES": str(folder), "OBLIGOR_PACKS": packs}


def write(path: Path, said: object) -> None:
    path.write_text(yaml.safe_dump(said))


def test_packs_that_need_a_template_begin_once_it_is_approved(tmp_path: Path) -> None:
    with pytest.raises(
        GateError, match="needs the template 'us-fed-adverse-action', which is not there or not approved"
    ):
        active_packs(environ(tmp_path, "US-FED"), on=TODAY)
    write(tmp_path / "approved.yaml", approvals().model_dump(mode="json", by_alias=True))
    assert [it.id for it in active_packs(environ(tmp_path, "US-FED, EU-CCD2"), on=TODAY)] == ["US-FED", "EU-CCD2"]
    with pytest.raises(GateError, match="not approved"):
        active_packs(environ(tmp_path, "US-FED"), on=date(2026, 11, 25))


def test_a_pack_that_asks_everybody_for_a_second_factor_does_not_begin_where_none_is_known(
    tmp_path: Path,
) -> None:
    said = environ(tmp_path, "NY-500") | {
        "OBLIGOR_OIDC_ISSUER": "https://id.bank.example",
        "OBLIGOR_OIDC_AUDIENCE": "obligor",
        "OBLIGOR_OIDC_JWKS_URL": "https://id.bank.example/keys",
    }
    store: Any = SimpleNamespace(sources=SimpleNamespace(now=None), people=None)
    with pytest.raises(InvalidInputError, match="OBLIGOR_OIDC_STRONG_ACR: NY-500 asks everybody for a second factor"):
        open_identity(store, said)
    for packs, asks in (("NY-500", True), ("GDPR", False)):
        tokens: Any = open_identity(store, said | {"OBLIGOR_PACKS": packs, "OBLIGOR_OIDC_STRONG_ACR": "mfa"}).tokens
        assert tokens._second_factor is asks


def test_packs_without_notices_need_no_folder(tmp_path: Path) -> None:
    assert active_packs(environ(tmp_path / "none")) == ()
    assert [it.id for it in active_packs(environ(tmp_path / "none", "GDPR,NY-500"))] == ["GDPR", "NY-500"]
    with pytest.raises(LawError, match="there is no pack 'GPDR'"):
        active_packs(environ(tmp_path, "GPDR"))


def test_particulars_that_are_missing_or_wrong_are_told(tmp_path: Path) -> None:
    with pytest.raises(LawError, match=r"particulars\.yaml: cannot be read"):
        open_stationery(environ(tmp_path))
    write(tmp_path / "particulars.yaml", PARTICULARS.model_dump(mode="json", by_alias=True) | {"creditor": {}})
    with pytest.raises(LawError, match=r"particulars\.yaml: creditor"):
        open_stationery(environ(tmp_path))
    write(tmp_path / "particulars.yaml", PARTICULARS.model_dump(mode="json", by_alias=True))
    assert open_stationery(environ(tmp_path)).particulars == PARTICULARS


CONTRACT = """
schema: obligor/contract/1
name: small
applications:
  columns:
    income: {type: number, role: predictor}
    followers: {type: number, role: predictor}
    bad: {type: text, role: outcome}
outcome: {window_months: 12, status: {column: bad, good: ["0"], bad: ["1"]}}
split: {random: {}}
"""


def test_a_contract_is_held_to_the_sources_that_an_active_pack_forbids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = tmp_path / "small.yaml"
    contract.write_text(CONTRACT)
    assert check_contract(contract, tape=None, progress=Lines(io.StringIO()))
    monkeypatch.setenv("OBLIGOR_PACKS", "EU-CCD2")
    forbidden = r"applications\.columns\.followers: 'followers' tells data of social_network, which EU-CCD2 forbids"
    with pytest.raises(GateError, match=forbidden):
        check_contract(contract, tape=None, progress=Lines(io.StringIO()))
    with pytest.raises(GateError, match=forbidden):
        run_tape("nowhere.csv", contract=contract, out=tmp_path / "out", progress=Lines(io.StringIO()))
    monkeypatch.setenv("OBLIGOR_PACKS", "US-FED")
    assert check_contract(contract, tape=None, progress=Lines(io.StringIO()))


@pytest.mark.parametrize("of", ["card", "policy"])
def test_a_card_or_a_policy_that_reads_what_an_active_pack_forbids_is_not_put_in_force(
    of: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = demonstration()
    (tmp_path / "scorecard.json").write_bytes(card_of(made, sick=of == "card").to_json())
    (tmp_path / "policy.json").write_bytes(policy_of(made, sick=of == "policy").to_json())
    assert read_run(tmp_path).card.name == made.card.name
    monkeypatch.setenv("OBLIGOR_PACKS", "GDPR,EU-CCD2")
    with pytest.raises(
        GateError, match=r"leave: 'hospital' tells data of health, which EU-CCD2 forbids \(eu.ccd2.18\)"
    ):
        read_run(tmp_path)


SICK = {"leave": Column(type="number", description="Days in hospital")}


def card_of(made: Made, *, sick: bool) -> Scorecard:
    table = made.card.applications
    return made.card.model_copy(
        update={"applications": table.model_copy(update={"columns": table.columns | (SICK if sick else {})})}
    )


def policy_of(made: Made, *, sick: bool) -> Policy:
    columns = made.policy.columns | (SICK if sick else {})
    return made.policy.model_copy(update={"columns": columns, "card_sha256": card_of(made, sick=not sick).sha256})


def test_a_service_does_not_begin_with_a_card_in_force_that_an_active_pack_forbids(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, said in (("AUTHOR", "ada"), ("DATA", str(tmp_path)), ("ANCHORS", "off"), ("DATABASE_URL", store_url)):
        monkeypatch.setenv(f"OBLIGOR_{name}", said)
    made = demonstration()

    async def put() -> None:
        async with open_store(store_url, read_settings(os.environ)) as store:
            await put_in_force(store, Made(card_of(made, sick=True), policy_of(made, sick=False)))

    asyncio.run(put())
    monkeypatch.setenv("OBLIGOR_PACKS", "EU-CCD2")
    with pytest.raises(GateError, match="leave: 'hospital' tells data of health"):
        serve_decisions(None, doors=Doors("127.0.0.1", 0, None), say=str, progress=Lines(io.StringIO()))


def test_a_running_service_takes_up_no_card_that_a_pack_active_where_it_runs_forbids(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who put it in force worked where no pack is active."""
    monkeypatch.setenv("OBLIGOR_AUTHOR", "ada")
    settings = read_settings({"OBLIGOR_DATA": str(tmp_path), "OBLIGOR_ANCHORS": "off"})
    made, check = demonstration(), partial(refuse_forbidden_card, {"OBLIGOR_PACKS": "EU-CCD2"})

    async def play() -> None:
        async with open_store(store_url, settings) as store:
            releases = Releases(store.archive)
            await put_in_force(store, made)
            await take_newest(store, releases, NoMeter(), check=check)
            await put_in_force(store, Made(card_of(made, sick=True), policy_of(made, sick=False)))
            with pytest.raises(GateError, match="leave: 'hospital' tells data of health"):
                await take_newest(store, releases, NoMeter(), check=check)
            assert releases.current.number == 1

    asyncio.run(play())
