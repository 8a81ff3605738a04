"""A service begins under the rule packs that it was given, or not at all."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.governance.notices.desk import PARTICULARS, TODAY, approvals

from obligor.bootstrap.law import active_packs, open_stationery
from obligor.core.errors import GateError, LawError

if TYPE_CHECKING:
    from pathlib import Path


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
