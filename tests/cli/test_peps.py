"""Politically exposed persons: a list of their own beside that of sanctions, and what comes of a hit on either."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.cli.test_lists import CARD, CLIENT, with_store
from tests.screening.lists import EXAMPLE
from tests.serving import golden_decisions as golden
from tests.serving.gated import good_application
from tests.stores import as_owner

from obligor.adapters.store.migrating import downgrade, migrate
from obligor.bootstrap.decisions import open_decisions
from obligor.bootstrap.releases import Made, put_in_force
from obligor.core.profile import Gate, Gates, Profile
from obligor.settings import read_settings

if TYPE_CHECKING:
    from obligor.bootstrap.store import Store

Call = Any
PEPS = "configs/lists/peps.csv"
TODAY = datetime.now(UTC).date().isoformat()
OFF, REFERS, HOLDS = Gate(state="off"), Gate(state="enforce", on_fail="refer"), Gate(state="enforce", on_fail="hold")
PROFILE = Profile(
    name="both", version=1, gates=Gates(kyc=OFF, aml=HOLDS, pci=OFF, pep=REFERS), effective_from=golden.START
)
DILIGENCE = ("--finding", "due-diligence")
SOMEBODY_ELSE = ("--finding", "somebody-else", "--because", "Another birth place.")
MINISTER, SANCTIONED, NOBODY = "Ottilie Marchetti-Vance", "Oleg Petrovich Korvand", "Jane Example"


def decided(call: Call, url: str, *people: tuple[str, str]) -> list[tuple[str, dict[str, str]]]:
    """Decide on people by their names under keys, and give the outcomes and what each gate said."""

    async def decide(store: Store) -> list[tuple[str, dict[str, str]]]:
        async with open_decisions(store, read_settings(os.environ)) as decisions:
            for key, name in people:
                application = good_application() | {
                    "customer": key,
                    "applicant_name": name,
                    "applicant_number": name[:3],
                }
                await decisions.service.decide(CLIENT, key=key, application=application)
        stored = await store.screening.decisions_from(0, before=None, limit=100)
        told = [json.loads(it.record) for it in stored[-len(people) :]]
        return [(it["outcome"], {name: said["result"] for name, said in it["gates"].items()}) for it in told]

    found: list[tuple[str, dict[str, str]]] = with_store(url, decide)
    return found


def said(aml: str, pep: str) -> dict[str, str]:
    return {"kyc": "not_evaluated", "aml": aml, "pci": "not_evaluated", "pep": pep}


def test_a_hit_on_either_list_is_its_own_and_an_exposed_person_is_approved_once_two_have_looked(
    call: Call, url: str
) -> None:
    with_store(url, lambda store: put_in_force(store, Made(CARD, golden.policy_of(CARD)), PROFILE))
    assert decided(call, url, ("before", NOBODY)) == [("hold", said("pending", "pending"))], "no list, nobody passes"
    assert call("Ada", "lists", "load", str(EXAMPLE), "--published", TODAY)[0] == 0
    code, out, _ = call("Ada", "lists", "load", PEPS, "--kind", "pep", "--published", TODAY)
    assert (code, out.startswith("in force: politically exposed persons of OpenSanctions")) == (0, True)
    code, out, _ = call("Vera", "lists", "list")
    assert (code, [line[:8] for line in out.splitlines()]) == (0, ["in force"] * 2), "one of each kind"
    assert decided(call, url, ("a", MINISTER), ("b", SANCTIONED), ("c", NOBODY)) == [
        ("refer", said("pass", "fail")),
        ("hold", said("fail", "pass")),
        ("approve", said("pass", "pass")),
    ]
    code, out, _ = call("Ada", "alerts", "rescreen", "--json")
    found = json.loads(out)
    assert (code, found["screening"]["screened"], found["pep_screening"]["screened"]) == (0, 2, 2)
    by_kind = {it["list_kind"]: it for it in found["alerts"]}
    assert {kind: it["entry"] for kind, it in by_kind.items()} == {"sanctions": "1001", "pep": "INV-P1"}
    one = by_kind["pep"]["alert_id"]
    code, out, _ = call("Ada", "alerts", "show", one)
    assert (code, "politically exposed: entry INV-P1" in out, "by two people" in out) == (0, True, True)
    code, _, err = call("Ada", "alerts", "confirm", one, "--because", "it is her")
    assert (code, "nothing to confirm or to report" in err) == (1, True)
    because = ("--because", "It is her; her salary explains the money. File D-7.")
    code, _, err = call("Ada", "alerts", "clear", one, *because)
    assert (code, "finding: wanted somebody_else or due_diligence" in err) == (2, True)
    clear = ("alerts", "clear", one, *DILIGENCE, *because)
    assert call("Ada", *clear)[1].startswith("examined; another person approves")
    assert call("Ada", *clear)[0] == 1
    assert json.loads(call("Bob", *clear, "--json")[1])["finding"] == "due_diligence"
    told = call("Vera", "alerts", "show", one)[1]
    assert ("cleared" in told, "Bob, after due diligence by Ada: It is her" in told) == (True, True)
    assert decided(call, url, ("d", MINISTER), ("e", SANCTIONED)) == [
        ("approve", said("pass", "pass")),
        ("hold", said("fail", "pass")),
    ]
    code, out, _ = call("Vera", "audit", "verify", "--json")
    assert code == 0, out
    code, out, _ = call("Vera", "doctor", "--json")
    assert code == 0, out


@pytest.mark.parametrize("lost", ["sanctions", "pep"])
def test_the_list_of_one_kind_that_cannot_be_made_ready_does_not_keep_the_other_from_being_screened_against(
    call: Call, url: str, lost: str
) -> None:
    with_store(url, lambda store: put_in_force(store, Made(CARD, golden.policy_of(CARD)), PROFILE))
    assert {it for it, _ in decided(call, url, ("a", MINISTER), ("b", SANCTIONED))} == {"hold"}
    lists = {"sanctions": (str(EXAMPLE),), "pep": (PEPS, "--kind", "pep")}
    shas = {
        kind: json.loads(call("Ada", "lists", "load", *it, "--published", TODAY, "--json")[1])["list_sha256"]
        for kind, it in lists.items()
    }
    lose(url, shas[lost])
    code, out, err = call("Ada", "alerts", "rescreen", "--json")
    assert (code, out, "is no longer kept" in err) == (1, "", True)
    found = json.loads(call("Ada", "alerts", "list", "--json")[1])
    assert [it["list_kind"] for it in found["alerts"]] == [kind for kind in lists if kind != lost]
    lose(url, *shas.values())
    code, _, err = call("Ada", "alerts", "rescreen")
    assert err.count("is no longer kept") == 2, "both are told"


def test_a_list_of_a_kind_that_is_off_does_not_matter_to_screening_again(call: Call, url: str) -> None:
    gates = Gates(kyc=OFF, aml=HOLDS, pci=OFF)
    profile = Profile(name="sanctions", version=1, gates=gates, effective_from=golden.START)
    with_store(url, lambda store: put_in_force(store, Made(CARD, golden.policy_of(CARD)), profile))
    decided(call, url, ("b", SANCTIONED))
    assert call("Ada", "lists", "load", str(EXAMPLE), "--published", TODAY)[0] == 0
    told = call("Ada", "lists", "load", PEPS, "--kind", "pep", "--published", TODAY, "--json")[1]
    lose(url, json.loads(told)["list_sha256"])
    code, out, err = call("Ada", "alerts", "rescreen", "--json")
    assert (code, len(json.loads(out)["alerts"]), err) == (0, 1, "")


def lose(url: str, *lists: str) -> None:
    with psycopg.connect(as_owner(url), autocommit=True) as owner:
        owner.execute("DELETE FROM obligor.artefact WHERE sha256 = ANY (%s)", ([*lists],))


def test_a_weak_hit_that_is_somebody_elses_takes_one_person_and_due_diligence_two(call: Call, url: str) -> None:
    with_store(url, lambda store: put_in_force(store, Made(CARD, golden.policy_of(CARD)), PROFILE))
    assert call("Ada", "lists", "load", str(EXAMPLE), "--published", TODAY)[0] == 0
    assert call("Ada", "lists", "load", PEPS, "--kind", "pep", "--published", TODAY)[0] == 0
    decided(call, url, ("a", "Otilie Marcheti-Vance"), ("b", "Ottilie Marcheti Vanse"), ("c", SANCTIONED))
    found = json.loads(call("Ada", "alerts", "rescreen", "--json")[1])["alerts"]
    one, other = (it for it in found if it["list_kind"] == "pep")
    assert max(one["score"], other["score"]) < 0.95
    assert call("Ada", "alerts", "clear", one["alert_id"], *SOMEBODY_ELSE)[1].startswith("cleared")
    assert call("Ada", "alerts", "clear", other["alert_id"], *DILIGENCE, "--because", "It is she.")[1].startswith(
        "examined"
    )
    assert call("Ada", "alerts", "clear", other["alert_id"], *SOMEBODY_ELSE)[1].startswith("proposed"), (
        "Ada said she is"
    )
    assert call("Ada", "alerts", "clear", other["alert_id"], *SOMEBODY_ELSE)[0] == 1
    assert call("Bob", "alerts", "clear", other["alert_id"], *SOMEBODY_ELSE)[1].startswith("cleared")
    (sanctioned,) = (it["alert_id"] for it in found if it["list_kind"] == "sanctions")
    code, _, err = call("Ada", "alerts", "clear", sanctioned, *DILIGENCE, "--because", "It is he.")
    assert (code, "finding: wanted none" in err) == (2, True), "who is sanctioned is not approved after a closer look"
    assert call("Vera", "audit", "verify", "--json")[0] == 0
    assert call("Vera", "doctor", "--json")[0] == 0
    with pytest.raises(RuntimeError, match="what was found of politically exposed persons"):
        downgrade(as_owner(url), "0030")


def test_one_name_is_screened_against_the_list_of_a_kind(call: Call) -> None:
    code, _, err = call("Vera", "screen", MINISTER, "--kind", "pep")
    assert (code, "no list of pep was loaded" in err) == (1, True)
    code, _, err = call("Ada", "lists", "load", PEPS, "--published", TODAY)
    assert (code, "does not say of which kind it is" in err) == (2, True)
    assert call("Ada", "lists", "load", PEPS, "--kind", "pep", "--published", TODAY)[0] == 0
    code, out, _ = call("Vera", "screen", MINISTER, "--kind", "pep")
    assert (code, "INV-P1 individual" in out) == (1, True)
    assert call("Vera", "screen", NOBODY, "--kind", "pep")[0] == 0
    assert call("Vera", "screen", MINISTER)[0] == 1, "of sanctions none was loaded"
    code, _, err = call("Ada", "lists", "load", PEPS, "--kind", "pep", "--published", TODAY)
    assert (code, "is the one in force" in err) == (2, True)
    code, _, err = call("Ada", "lists", "load", str(EXAMPLE), "--kind", "pep", "--published", TODAY)
    assert (code, "a list of OFAC is of sanctions" in err) == (2, True)


def test_a_list_whose_kind_was_changed_is_found(call: Call, url: str) -> None:
    assert call("Ada", "lists", "load", PEPS, "--kind", "pep", "--published", TODAY)[0] == 0
    with psycopg.connect(as_owner(url)) as owner:
        owner.execute("UPDATE obligor.screening_list SET list_kind = 'sanctions'")
    code, out, _ = call("Vera", "audit", "verify", "--json")
    assert (code, "list_kind is not what the record" in out) == (1, True)


def test_a_store_with_such_a_list_does_not_go_back_to_a_version_that_takes_it_for_one_of_sanctions(
    call: Call, url: str
) -> None:
    downgrade(as_owner(url), "0029")
    migrate(as_owner(url))
    assert call("Ada", "lists", "load", PEPS, "--kind", "pep", "--published", TODAY)[0] == 0
    with pytest.raises(Exception, match="would take one for a list of sanctions"):
        downgrade(as_owner(url), "0029")


def test_who_is_on_both_lists_is_cleared_on_each_by_itself(call: Call, url: str) -> None:
    with_store(url, lambda store: put_in_force(store, Made(CARD, golden.policy_of(CARD)), PROFILE))
    for kind in ("sanctions", "pep"):
        assert call("Ada", "lists", "load", PEPS, "--kind", kind, "--published", TODAY)[0] == 0
    assert decided(call, url, ("a", MINISTER)) == [("hold", said("fail", "fail"))]
    alerts = {it["list_kind"]: it for it in json.loads(call("Ada", "alerts", "rescreen", "--json")[1])["alerts"]}
    assert {kind: it["entry"] for kind, it in alerts.items()} == {"sanctions": "INV-P1", "pep": "INV-P1"}
    for by in ("Ada", "Bob"):
        assert call(by, "alerts", "clear", alerts["pep"]["alert_id"], *DILIGENCE, "--because", "File D-7.")[0] == 0
    assert decided(call, url, ("b", MINISTER)) == [("hold", said("fail", "pass"))]
    assert call("Ada", "alerts", "confirm", alerts["sanctions"]["alert_id"], "--because", "It is her.")[0] == 0
    assert decided(call, url, ("c", MINISTER)) == [("hold", said("fail", "pass"))]
