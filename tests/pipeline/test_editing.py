"""A person edits the bins of a draft: the fit is done again, the differences are told, and the edit stays on record."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.test_cli import CONTRACT, HEADER, rows

from obligor.bootstrap import edit_bins, load_card, run_demo, run_tape, score_tape
from obligor.core.edits import parse_edits
from obligor.core.errors import EditError, InvalidInputError, SourceError
from obligor.files import file_sha256
from obligor.pipeline.drafts import open_draft
from obligor.pipeline.editing import _refuse_guests
from obligor.progress import Silence

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import LenderRun

    from obligor.pipeline.changes import CardChange

WHY = "One story in both, and the upper bin is small."


@dataclass(frozen=True)
class Made:
    """A run on a small tape, and where its data are kept."""

    tape: Path
    contract: Path
    run: Path
    data: Path


def content(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Nine hundred applications whose income and purpose are on the card, whatever they tell."""
    folder = tmp_path_factory.mktemp("edited")
    made = Made(folder / "tape.csv", folder / "small.yaml", folder / "run", folder / "data")
    made.tape.write_text(HEADER + rows(900))
    made.contract.write_text(CONTRACT.replace("model: {", "model: {keep: [income, purpose], "))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OBLIGOR_DATA", str(made.data))
        patch.setenv("OBLIGOR_MLFLOW_URI", "off")
        run_tape(str(made.tape), contract=made.contract, out=made.run, progress=Silence())
    return made


@pytest.fixture
def draft(kept: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run to edit."""
    monkeypatch.setenv("OBLIGOR_DATA", str(kept.data))
    monkeypatch.setenv("OBLIGOR_MLFLOW_URI", "off")
    monkeypatch.setenv("OBLIGOR_AUTHOR", "Ann Analyst")
    monkeypatch.delenv("OBLIGOR_DEBUG", raising=False)
    return Path(shutil.copytree(kept.run, tmp_path / "run"))


def edit(run: Path, characteristic: str, **change: object) -> CardChange:
    return edit_bins(run, characteristic, change, author=None, reason=WHY, progress=Silence())


def test_an_edit_fits_again_stands_in_the_card_and_is_told_wherever_people_look(draft: Path) -> None:
    before = load_card(draft / "scorecard.json")
    economics = json.loads((draft / "evaluation.json").read_text())["economics"]
    told = edit(draft, "income", kind="merge", bins=[1, 2])
    after = load_card(draft / "scorecard.json")
    old, new = (next(it for it in card.characteristics if it.feature == "income") for card in (before, after))
    assert new.cuts == old.cuts[1:]
    edits = parse_edits((draft / "edits.json").read_bytes())
    (made,) = edits.edits
    assert (made.author, made.reason, made.draft.card_sha256) == ("Ann Analyst", WHY, before.sha256)
    assert after.origin.edits_sha256 == edits.sha256
    manifest = json.loads((draft / "manifest.json").read_text())
    assert manifest["outputs"]["edits.json"]["sha256"] == file_sha256(draft / "edits.json")
    assert manifest["inputs"]["edits_sha256"] == edits.sha256
    evaluation = json.loads((draft / "evaluation.json").read_text())
    assert evaluation["economics"] == economics
    assert economics["assumed"]  # an edit states nothing
    (shown,) = evaluation["edits"]["made"]
    assert shown["before"]["gini"] == told.figures["before"]["gini"]
    assert shown["after"]["gini"] == told.figures["after"]["gini"] != shown["before"]["gini"]
    assert WHY in (draft / "report.html").read_text()
    assert "Edits of bins by hand | 1, of income" in (draft / "model_card.md").read_text()


def test_the_edited_card_scores_a_tape_by_its_new_bins(draft: Path, kept: Made, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    edit(draft, "income", kind="merge", bins=[1, 2])
    scored = tmp_path / "s.parquet"
    score_tape(str(kept.tape), card=draft / "scorecard.json", out=scored, points=True, progress=Silence())
    (income,) = [it for it in load_card(draft / "scorecard.json").characteristics if it.feature == "income"]
    table = pq.read_table(scored).to_pandas()
    found = set(table["points_income"])
    assert found <= set(income.points)
    assert len(found) == income.binning.ordinary


def test_a_run_is_not_put_in_the_place_of_edits_that_it_would_lose(draft: Path, kept: Made) -> None:
    edit(draft, "purpose", kind="merge", bins=[1, 2])
    before = content(draft)
    with pytest.raises(InvalidInputError, match="edited by hand"):
        run_tape(str(kept.tape), contract=kept.contract, out=draft, progress=Silence())
    assert content(draft) == before
    run_tape(str(kept.tape), contract=kept.contract, out=draft, edits=draft / "edits.json", progress=Silence())
    assert content(draft) == before


def test_a_run_with_the_same_edits_gives_the_same_bytes(draft: Path, kept: Made, tmp_path: Path) -> None:
    edit(draft, "income", kind="move_cut", cut=2836, to=3000)
    edit(draft, "purpose", kind="merge", bins=[1, 2])
    out = tmp_path / "again"
    run_tape(str(kept.tape), contract=kept.contract, out=out, edits=draft / "edits.json", progress=Silence())
    assert content(out) == content(draft)


def test_an_edit_that_is_taken_back_gives_the_first_card_and_both_stay_on_record(draft: Path, kept: Made) -> None:
    edit(draft, "income", kind="split", at=2000)
    told = edit(draft, "income", kind="undo")
    first, last = load_card(kept.run / "scorecard.json"), load_card(draft / "scorecard.json")
    assert last.model_copy(update={"origin": first.origin}) == first
    assert [it.change.kind for it in parse_edits((draft / "edits.json").read_bytes()).edits] == ["split", "undo"]
    assert told.note == ""


def test_an_edit_may_go_to_another_folder_and_leave_the_draft(draft: Path, kept: Made, tmp_path: Path) -> None:
    told = edit_bins(
        draft,
        "income",
        {"kind": "merge", "bins": [2, 3]},
        author="Bob",
        reason=WHY,
        out=tmp_path / "tried",
        progress=Silence(),
    )
    assert content(draft) == content(kept.run)
    assert told.card_sha256 == load_card(tmp_path / "tried" / "scorecard.json").sha256
    assert told.out == str(tmp_path / "tried")


def test_bins_are_shown_on_train_and_validation_and_never_on_the_test(
    draft: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, _ = run("bins", "show", draft)
    assert code == 0
    assert load_card(draft / "scorecard.json").sha256[:12] in out
    assert "below 2836" in out
    code, out, _ = run("bins", "show", draft, "purpose", "--json")
    plain = json.loads(out)
    assert [it["feature"] for it in plain["characteristics"]] == ["purpose"]
    bins = plain["characteristics"][0]["bins"]
    assert [it["number"] for it in bins] == [1, 2, 3, 4, 5]
    assert set(bins[0]) == {"number", "label", "points", "woe", "train", "validation"}


def test_an_edit_tells_bins_figures_and_what_else_moved(draft: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run("bins", "merge", draft, "income", 1, 2, "--because", WHY, "--quiet", "--json")
    assert (code, err) == (0, "")
    plain = json.loads(out)
    assert [len(plain[when]["bins"]) for when in ("before", "after")] == [4, 3]
    assert plain["figures"]["after"]["information_value"] < plain["figures"]["before"]["information_value"]
    assert plain["moved"]["purpose"] > 0
    code, out, _ = run("bins", "split", draft, "income", "--at", 3500, "--because", WHY)
    assert code == 0
    for words in ("split bin 1 (below 4650) at 3500", "Gini, validation", "log loss, validation", "points of others"):
        assert words in out


def test_a_characteristic_without_bins_to_tell_apart_leaves_the_card_and_comes_back(
    draft: Path, kept: Made, tmp_path: Path
) -> None:
    contract = tmp_path / "free.yaml"
    contract.write_text(
        kept.contract.read_text().replace("income, purpose]", "purpose]").replace("value: 0.0", "value: 0.01")
    )
    run_tape(str(kept.tape), contract=contract, out=draft, progress=Silence())
    told = edit(draft, "income", kind="merge", bins=[1, 2, 3])
    assert told.after is None
    assert "information value" in told.left["income"]
    assert "income left the card" in "\n".join(told.lines())
    back = edit(draft, "income", kind="split", at=3000)
    assert back.before is None
    assert back.entered == ("income",)


def test_a_smooth_card_keeps_the_bins_of_its_editor(draft: Path, kept: Made, tmp_path: Path) -> None:
    contract = tmp_path / "smooth.yaml"
    contract.write_text(CONTRACT[: CONTRACT.index("model:")] + "model: {recipe: smooth, keep: [income]}\n")
    run_tape(str(kept.tape), contract=contract, out=draft, progress=Silence())
    first = next(it for it in load_card(draft / "scorecard.json").characteristics if it.feature == "income")
    at = (first.cuts[0] if first.cuts else 2000.0) + 321.5
    edit(draft, "income", kind="split", at=at)
    last = next(it for it in load_card(draft / "scorecard.json").characteristics if it.feature == "income")
    assert last.cuts == tuple(sorted((*first.cuts, at)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("merge", "income", 1, 3), "bin 1 (below 2836) and bin 3 (4650 or more) are not neighbours"),
        (("merge", "income", 1), "got 1 bin to join"),
        (("merge", "dti", 1, 2), "the card has no characteristic 'dti'; it has income, purpose"),
        (("merge", "income", 1, 2, "--author", " "), "edit: has no author"),
        (("merge", "income", 1, 2, "--draft", "0123456789"), "it has changed since"),
        (("merge", "income", 1, 2, "--draft", "012"), "wanted at least 8 digits"),
        (("split", "income", "--at", "1e9"), "bin 4 (1e+09 or more) would hold no row of train"),
        (("split", "income", "--at", "nan"), "finite number"),
        (("split", "income"), "wanted either --at or --level"),
        (("split", "purpose", "--level", "yacht"), "has no level 'yacht'"),
        (("move", "income", "--cut", 2836, "--to", 9999), "cannot go to 9999"),
        (("move", "income", "--cut", 2836), "wanted either --cut with --to"),
        (("move", "purpose", "--level", "car", "--to-bin", 3), "would have no level"),
        (("undo", "income"), "'income': has no edit to take back"),
    ],
)
def test_a_mistaken_edit_exits_with_two_and_leaves_the_draft(
    arguments: tuple[object, ...], message: str, draft: Path, kept: Made, run: Callable[..., tuple[int, str, str]]
) -> None:
    command, *others = arguments
    code, _, err = run("bins", command, draft, *others, "--because", WHY, "--quiet")
    assert code == 2
    assert message in err
    assert content(draft) == content(kept.run)
    assert [path.name for path in draft.parent.iterdir()] == ["run"]


def test_an_edit_without_a_reason_is_refused(draft: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = run("bins", "merge", draft, "income", 1, 2)
    assert code == 2
    assert "--because" in err
    code, _, err = run("bins", "merge", draft, "income", 1, 2, "--because", "  ")
    assert code == 2
    assert "edit: has no reason" in err


def test_a_file_that_was_changed_by_hand_is_refused(
    draft: Path, kept: Made, run: Callable[..., tuple[int, str, str]]
) -> None:
    plain = json.loads((draft / "scorecard.json").read_text())
    plain["characteristics"][0]["bins"][0]["points"] += 1
    (draft / "scorecard.json").write_text(json.dumps(plain))
    code, _, err = run("bins", "show", draft)
    assert code == 2
    assert "scorecard.json: was changed after the run wrote it" in err
    del plain["characteristics"][0]["bins"][0]
    (draft / "scorecard.json").write_text(json.dumps(plain))
    code, _, err = run("bins", "show", draft)
    assert code == 2
    assert "has a gap: 3 bins have points, wanted 4" in err
    shutil.copy(kept.run / "scorecard.json", draft)
    manifest = json.loads((draft / "manifest.json").read_text())
    manifest["contract"]["model"]["min_bads"] = 2
    (draft / "manifest.json").write_text(json.dumps(manifest))
    code, _, err = run("bins", "show", draft)
    assert code == 2
    assert "the card was made by another contract" in err
    (draft / "manifest.json").write_text("{}")
    code, _, err = run("bins", "show", draft)
    assert code == 2
    assert "is not the manifest of a run" in err
    code, _, err = run("bins", "show", draft.parent)
    assert code == 2
    assert "there is no such file; wanted the folder of a run" in err


def test_an_interrupted_edit_leaves_the_old_run_whole(
    draft: Path, kept: Made, monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[int, str, str]]
) -> None:
    from obligor.pipeline import evidence

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evidence, "write_quarantine", interrupted)
    code, _, err = run("bins", "merge", draft, "income", 1, 2, "--because", WHY, "--quiet")
    assert code == 130
    assert "interrupted" in err
    assert content(draft) == content(kept.run)
    assert [path.name for path in draft.parent.iterdir()] == ["run"]


def test_an_interruption_while_the_runs_change_places_puts_the_old_one_back(
    draft: Path, kept: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target == draft and self.name.endswith(".partial"):
            raise KeyboardInterrupt
        return move(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        edit(draft, "income", kind="merge", bins=[1, 2])
    assert content(draft) == content(kept.run)
    assert [path.name for path in draft.parent.iterdir()] == ["run"]


def test_files_in_folders_of_a_draft_are_the_runs_own_or_guests(lender_run: LenderRun, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(lender_run.out, run)
    _refuse_guests(open_draft(run))
    (run / "challengers" / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match=r"holds challengers/notes\.txt"):
        _refuse_guests(open_draft(run))


def test_a_draft_that_changes_during_an_edit_is_not_overwritten(draft: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from obligor.pipeline import evidence

    write = evidence.write_quarantine

    def meanwhile(*given: object) -> None:
        (draft / "manifest.json").write_text((draft / "manifest.json").read_text() + "\n")
        write(*given)  # type: ignore[arg-type]  what it is given

    monkeypatch.setattr(evidence, "write_quarantine", meanwhile)
    before = content(draft)
    with pytest.raises(EditError, match="the draft has changed while this edit was made; nothing was written"):
        edit(draft, "income", kind="merge", bins=[1, 2])
    assert content(draft) == before | {"manifest.json": file_sha256(draft / "manifest.json")}
    assert not (draft / "edits.json").exists()


def test_a_demo_takes_the_place_of_no_run_that_was_edited_by_hand(draft: Path) -> None:
    edit(draft, "income", kind="merge", bins=[1, 2])
    before = content(draft)
    with pytest.raises(InvalidInputError, match="which a new run would lose"):
        run_demo(draft, applications=1000, seed=1, progress=Silence())
    assert content(draft) == before


def test_a_tape_that_is_no_longer_kept_is_told(draft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBLIGOR_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(SourceError, match=r"the tape of this run, [0-9a-f]{12}, is not kept in .*elsewhere") as error:
        edit(draft, "income", kind="merge", bins=[1, 2])
    assert "OBLIGOR_DATA" in str(error.value)


def test_a_file_that_the_run_did_not_write_is_not_lost(draft: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    (draft / "notes.txt").write_text("mine")
    code, _, err = run("bins", "merge", draft, "income", 1, 2, "--because", WHY, "--quiet")
    assert code == 2
    assert "holds notes.txt, which the run did not write" in err
    assert (draft / "notes.txt").read_text() == "mine"


def test_edits_of_another_tape_are_taken_only_when_asked_and_the_report_says_so(
    draft: Path, kept: Made, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    edit(draft, "income", kind="merge", bins=[1, 2])
    (tmp_path / "later.csv").write_text(HEADER + rows(1200))
    told = ("run", tmp_path / "later.csv", "--contract", kept.contract, "--edits", draft / "edits.json", "--quiet")
    code, _, err = run(*told, "--out", tmp_path / "later")
    assert code == 2
    assert "edit 1, of 'income', was made on a draft of the tape" in err
    assert not (tmp_path / "later").exists()
    code, _, err = run(*told, "--out", tmp_path / "later", "--carry-edits")
    assert (code, err) == (0, "")
    assert "made on a draft of another contract or tape" in (tmp_path / "later" / "report.html").read_text()
    edit(tmp_path / "later", "income", kind="split", at=3000)
    made = json.loads((tmp_path / "later" / "evaluation.json").read_text())["edits"]["made"]
    assert [it["elsewhere"] for it in made] == [True, False]
    assert [it["after"] is None for it in made] == [True, False]
    code, _, err = run(*told[:-2], tmp_path / "nowhere.json", "--out", tmp_path / "later")
    assert code == 2
    assert "nowhere.json: there is no such file; wanted the edits.json of a run" in err


def test_a_draft_of_the_simulated_lender_is_edited_with_its_histories(
    lender_run: LenderRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBLIGOR_DATA", str(lender_run.out.parent / "data"))
    monkeypatch.setenv("OBLIGOR_MLFLOW_URI", "off")
    at = {"author": "Ann", "reason": WHY, "progress": Silence()}
    told = edit_bins(lender_run.out, "inquiries_12m", {"kind": "merge", "bins": [2, 3]}, out=tmp_path / "out", **at)
    assert told.after is not None
    assert [it["label"] for it in told.after["bins"]] == ["below 2", "2 or more", "missing"]


def test_a_level_of_a_real_tape_moves_to_another_bin(
    datasets: Path, contracts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBLIGOR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OBLIGOR_MLFLOW_URI", "off")
    tape, run = datasets / "german_credit" / "german.data", tmp_path / "run"
    run_tape(str(tape), contract=contracts / "german-credit.yaml", out=run, progress=Silence())
    card = load_card(run / "scorecard.json")
    name, groups = next(
        (it.feature, it.groups) for it in card.characteristics if it.kind == "category" and len(it.groups[-1]) > 1
    )
    level = groups[-1][0]
    edit(run, name, kind="move_level", level=level, bin=1)
    found = next(it for it in load_card(run / "scorecard.json").characteristics if it.feature == name)
    assert found.groups[0] == tuple(sorted((*groups[0], level)))
    assert found.groups[-1] == groups[-1][1:]
    held = [row.goods + row.bads for row in found.bins]
    assert sum(held) == card.origin.rows["train"]
