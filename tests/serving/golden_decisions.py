"""Decisions that were made once and must follow for ever.

``python -m tests.serving.golden_decisions`` adds those of this version.

A folder for each version holds its card, policy and profile, and the records of 10,000 decisions as the service wrote them, in
less than a megabyte. A folder that is there is never written again.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.core.test_policy import BY_CHANNEL_AND_AMOUNT, plain
from tests.core.test_scorer import CARD

from obligor import __version__
from obligor.core.policy import Policy, parse_policy
from obligor.core.profile import Gate, Gates, Profile
from obligor.core.scorecard import Pair, Scorecard
from obligor.serving.acts import Caller
from obligor.serving.deciding import DECISIONS as DECIDED
from obligor.serving.gates.gate import NOT_JUDGED
from obligor.serving.making import Maker
from obligor.serving.probing import Probing
from obligor.serving.releases.release import Release, compile_release
from obligor.serving.sources import Sources
from obligor.serving.webhooks.events import Listeners

FOLDER = Path(__file__).parent / "decisions"
DECISIONS = 10_000
_FILE = "decisions.jsonl.xz"
START = datetime(2026, 11, 26, 20, tzinfo=UTC)
_TEXTS = {
    "income": ("Income is low", "Income was not stated"),
    "ratio": ("The loan is high for the income", "Income was not stated"),
    "purpose": ("Purpose of the loan", ""),
    "owner": ("Housing", "Housing was not stated"),
    "lines": ("Few credit lines", "Few credit lines"),
}


def whole_card() -> Scorecard:
    """The card that tests share, with a grid, references and reason texts; for its purpose not all of them."""
    characteristics = tuple(
        it.model_copy(
            update={
                "reference": max(it.points) - 1,
                "reason": _TEXTS[it.feature][0],
                "reason_missing": _TEXTS[it.feature][1],
            }
        )
        for it in CARD.characteristics
    )
    grid = ((-40, 60), (10, 20))
    ones = ((1.0, 1.0), (1.0, 1.0))
    pair = Pair(
        features=("income", "owner"), rows=(0, 0, 1, 1, -1), columns=(0, 1, 0, 1), points=grid, goods=ones, bads=ones,
        reference=15,
    )  # fmt: skip
    columns = dict(CARD.applications.columns)
    columns["income"] = columns["income"].model_copy(update={"min": 0.0, "max": 2e5})
    columns["customer"] = columns["customer"].model_copy(update={"unique": True})
    table = CARD.applications.model_copy(update={"columns": columns})
    return CARD.model_copy(update={"characteristics": characteristics, "pairs": (pair,), "applications": table})


def policy_of(card: Scorecard) -> Policy:
    """Thresholds by channel and amount, a grey zone, and rules."""
    said = json.loads(card.to_json())
    thresholds = [it | {"cutoff": 499_150 + (it["cutoff"] - 530_000) // 25} for it in BY_CHANNEL_AND_AMOUNT]
    rules = [
        {"name": "too_much", "when": "amount > 12 * income", "outcome": "decline", "reason": "Too high an amount"},
        {"name": "no_income", "when": "income <= 0", "when_unknown": "refer", "outcome": "decline", "code": "K2",
         "reason": "No income"},
        {"name": "many_lines", "when": "lines >= 3", "outcome": "refer"},
        {"name": "asleep", "when": "TRUE", "outcome": "refer", "active": False},
    ]  # fmt: skip
    whole = plain(
        thresholds,
        card_sha256=card.sha256,
        bands=said["bands"],
        cutoff=plain()["cutoff"] | {"cutoff": card.cutoff.score},
        grey=60,
        knockouts=rules,
        columns=said["applications"]["columns"] | {"channel": {"type": "text", "case": "lower"}},
        histories=said["histories"],
        features=said["features"],
        caps=said["caps"],
    )
    return parse_policy(json.dumps(whole).encode())


def profile_of(state: Any = "monitor") -> Profile:
    gate = Gate(state=state, on_fail="decline", reason="Identity could not be verified")
    off = Gate(state="off")
    return Profile(name="golden", version=1, gates=Gates(kyc=gate, aml=off, pci=off), effective_from=START)


def release_of(state: Any = "monitor") -> Release:
    card = whole_card()
    return compile_release(7, card=card, policy=policy_of(card), profile=profile_of(state))


def applications(count: int, *, seed: int = 1) -> list[dict[str, Any]]:
    """Applications of all kinds: usual, missing, coded, out of range, never seen."""
    chance = random.Random(seed)  # noqa: S311 - the same every time

    def one(at: int) -> dict[str, Any]:
        day = START.date() - timedelta(days=chance.randrange(400))
        return {
            "customer": f"c{at}",
            "income": chance.choice(
                [None, -1, -99, 0, 1000, *(round(chance.uniform(100, 3000), 2) for _ in range(9)), 3e5]
            ),
            "amount": chance.choice([None, 400, 999.99, 1000, *(round(chance.uniform(50, 4000), 2) for _ in range(5))]),
            "purpose": chance.choice([None, "car", " AUTO", "home", "boat", "yacht", "Ren\u00e9e"]),
            "owner": chance.choice([None, True, False]),
            "applied_on": day.isoformat(),
            "channel": chance.choice([None, "branch", "Branch", "web"]),
            "bureau": [
                {
                    "at": (day - timedelta(days=chance.randrange(-5, 150))).isoformat(),
                    "balance": chance.choice([None, 0, 5.5]),
                }
                for _ in range(chance.randrange(6))
            ],
        }

    return [one(at) for at in range(count)]


def records(release: Release, count: int) -> list[bytes]:
    """Decide as the service does, and give the records."""
    chance = random.Random(2)  # noqa: S311 - the same every time
    sources = Sources(lambda: START, chance.randbytes)
    maker, probing = Maker(sources, Listeners(), None), Probing()
    caller = Caller("lender", "key", frozenset({"decide"}), START)
    asked = (probing.asked("lender", release, release.read(it)) for it in applications(count))
    times = (START + timedelta(seconds=at, microseconds=7) for at in range(count))
    return [
        maker.make(caller, release, it, at=at, key=f"k{number}", route=DECIDED, judged=NOT_JUDGED).act.record
        for number, (it, at) in enumerate(zip(asked, times, strict=True))
    ]


def write(folder: Path, count: int = DECISIONS) -> None:
    release = release_of()
    folder.mkdir(parents=True)
    for name in ("card", "policy", "profile"):
        (folder / f"{name}.json").write_bytes(getattr(release, name).to_json())
    lines = b"\n".join(records(release, count))
    (folder / _FILE).write_bytes(lzma.compress(lines, preset=9 | lzma.PRESET_EXTREME))


def read(folder: Path) -> list[bytes]:
    return lzma.decompress((folder / _FILE).read_bytes()).split(b"\n")


def digest(lines: list[bytes]) -> str:
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


if __name__ == "__main__":
    write(FOLDER / __version__)
