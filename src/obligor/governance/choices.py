"""Which card is used, of those that the search tried: a person decides, gives a reason, and it is written down.

A choice names the evidence that it was made on by hash. Choices are only ever added to a file. The card of the run may be
chosen; that it was chosen over one that treats groups more alike is then on record, with the reason.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from obligor.core.canonical import readable_json
from obligor.core.clauses import close_to
from obligor.core.errors import InvalidInputError
from obligor.files import file_sha256, whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

SCHEMA = "obligor/choice/1"


def searched_in(folder: Path) -> dict[str, Any]:
    """Read the evaluation of a run that searched for alternatives.

    Raises
    ------
    InvalidInputError
        Where the folder holds no evaluation, or none with a search.
    """
    path = folder / "evaluation.json"
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InvalidInputError(f"{folder}: holds no evaluation.json; wanted the folder of a run") from None
    except (OSError, ValueError):
        raise InvalidInputError(f"{path}: cannot be read as JSON") from None
    if not isinstance(found, dict) or not found.get("alternatives"):
        raise InvalidInputError(
            f"{path}: no search for alternatives",
            hint="set fairness: {alternatives: true} in the contract and run again",
        )
    return found


def lines_of(evaluation: Mapping[str, Any]) -> list[str]:
    """Say what the search found: the card and every card on a frontier, and what is put forward."""
    found = evaluation["alternatives"]
    shown = [it for it in found["alternatives"] if it["test"] is not None]
    columns = list(shown[0]["validation"]["impact_ratios"])
    width = max(len(it["name"]) for it in shown) + 2
    room = {column: max(len(column) + 5, 16) for column in columns}
    head = "".join(f"{f'by {column}':>{room[column]}}" for column in columns)
    said = [f"{len(found['alternatives']) - 1} other cards were tried; validation, then test", ""]
    said.append(f"{'':<{width}}{'Gini':>16}{head}")
    for it in shown:
        pairs = [(it["validation"]["gini"], it["test"]["gini"])]
        pairs += [(it["validation"]["impact_ratios"][key], it["test"]["impact_ratios"][key]) for key in columns]
        cells = [f"{_number(one)} {_number(other)}" for one, other in pairs]
        said.append(
            f"{it['name']:<{width}}"
            + "".join(f"{cell:>{size}}" for cell, size in zip(cells, (16, *room.values()), strict=True))
        )
    for each in found["proposals"]:
        if each["alternative"]:
            doubt = "" if each["holds"] else ", which the test does not bear out"
            said += ["", f"put forward for {each['column']}: {each['alternative']}{doubt}"]
    return said


def record_choice(folder: Path, *, name: str, by: str, because: str, at: datetime, record: Path) -> dict[str, Any]:
    """Add a choice to a file, and give it.

    Parameters
    ----------
    name
        The name of a card that was tried; ``the card`` for the one of the run.
    at
        The moment of the choice, with its time zone.
    """
    evaluation = searched_in(folder)
    cards = {it["name"]: it for it in evaluation["alternatives"]["alternatives"]}
    if name not in cards:
        raise InvalidInputError(f"'{name}' is none of the {len(cards)} cards that were tried{close_to(name, cards)}")
    for what, words in (("by", by), ("because", because)):
        if not words.strip():
            raise InvalidInputError(f"{what}: is empty; a choice names who made it, and why")
    if record.absolute().parent.resolve() == folder.resolve():
        raise InvalidInputError(
            f"{record}: lies in the folder of the run, which the next run replaces; name another place"
        )
    choice = {
        "schema": SCHEMA,
        "at": at.isoformat(timespec="seconds"),
        "contract": evaluation["contract"],
        "card_sha256": evaluation["card_sha256"],
        "evaluation_sha256": file_sha256(folder / "evaluation.json"),
        "chosen": name,
        "by": by.strip(),
        "because": because.strip(),
        "figures": {key: cards[key] for key in dict.fromkeys(("the card", name))},
    }
    earlier = _recorded(record)
    with whole_file(record) as partial:
        partial.write_bytes(readable_json([*earlier, choice]))
    return choice


def _recorded(record: Path) -> list[Any]:
    if not record.exists():
        return []
    try:
        found = json.loads(record.read_bytes())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, list) or not all(isinstance(it, dict) and it.get("schema") == SCHEMA for it in found):
        raise InvalidInputError(f"{record}: is not a record of choices; it is left as it is")
    return found


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
