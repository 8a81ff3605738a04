"""Screens one name against a list, for the command line."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from obligor.bootstrap.acting import acting
from obligor.core.errors import ScreeningError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from obligor.screening.lists import ListKind, ListSnapshot
    from obligor.screening.matching import Hit
    from obligor.screening.screener import Screening


@dataclass(frozen=True, slots=True)
class Screened:
    """What a screening found, for a person."""

    screening: Screening
    snapshot: ListSnapshot
    threshold: float

    def to_plain(self) -> dict[str, Any]:
        """Give plain data."""
        found, day = self.screening, self.snapshot.published
        return {
            "hits": [_plain(hit) for hit in found.hits],
            "threshold": self.threshold,
            "list": {
                "source": self.snapshot.source,
                "published": day.isoformat() if day else None,
                "sha256": found.snapshot_sha256,
                "entries": len(self.snapshot.entries),
                "stale": found.stale,
            },
            "algorithm": found.algorithm,
            "rules_sha256": found.config_sha256,
        }

    def lines(self) -> list[str]:
        """Say which entries are hits, why, and against which list."""
        found, day = self.screening, self.snapshot.published
        told = [line for hit in found.hits for line in _lines(hit)]
        age = "of no known day" if day is None else f"of {day.isoformat()}"
        return [
            *(told or ["no hit"]),
            (
                f"list {self.snapshot.source} {age}{', too old to rely on' if found.stale else ''}: "
                f"{len(self.snapshot.entries):,} entries, {found.snapshot_sha256[:16]}"
            ),
            f"threshold {self.threshold:g}, rules {found.config_sha256[:16]}, {found.algorithm}",
        ]


def screen_name(
    name: str,
    *,
    born: str | None,
    kind: ListKind,
    path: Path | None,
    published: date | None,
    threshold: float | None,
) -> Screened:
    """Screen a name as of today against the list in a file or a folder, or else the one of its kind that was loaded last.

    Raises
    ------
    ScreeningError
        Where the list cannot be read, or the name or the birth date cannot be compared.
    UnavailableError
        Where what compares names is not installed, or no list was loaded.
    """
    snapshot = _loaded_list(kind) if path is None else read_list(path, kind=kind, published=published)
    from obligor.screening.births import parse_born
    from obligor.screening.rules import Rules
    from obligor.screening.screener import Screener

    day = None if born is None else parse_born(born)
    rules = Rules() if threshold is None else replace(Rules(), threshold=threshold)
    screening = Screener.of(snapshot, rules).screen(name, day, today=datetime.now(UTC).date())
    return Screened(screening, snapshot, rules.threshold)


def read_list(path: Path, *, kind: ListKind | None, published: date | None) -> ListSnapshot:
    """Read a list from a file or a folder, in a form of OFAC or of OpenSanctions.

    Raises
    ------
    ScreeningError
        Where it cannot be read.
    """
    from obligor.screening.ofac import read_ofac
    from obligor.screening.opensanctions import is_opensanctions, read_opensanctions

    if is_opensanctions(path):
        if kind is None:
            raise ScreeningError(f"{path.name}: does not say of which kind it is", hint="say it with --kind")
        return read_opensanctions(path, kind=kind, published=published)
    if kind == "pep":
        raise ScreeningError(f"{path.name}: wanted a targets.simple.csv; a list of OFAC is of sanctions")
    return read_ofac(path, published=published)


def _loaded_list(kind: ListKind) -> ListSnapshot:
    """Give the list of a kind that was loaded last."""
    from obligor.bootstrap.store import existing_database, open_store, service_settings

    settings = service_settings()

    async def found(url: str) -> bytes | None:
        async with open_store(url, settings) as store:
            await acting(store, "screening.screen")
            newest = await store.screening.newest_list(kind)
            return None if newest is None else await store.screening.artefact(newest.list_sha256)

    with existing_database(settings) as url:
        body = asyncio.run(found(url))
    if body is None:
        raise UnavailableError(f"no list of {kind} was loaded", hint="obligor lists load FILE, or name one with --list")
    from obligor.screening.lists import parse_list

    return parse_list(body)


def _plain(hit: Hit) -> dict[str, Any]:
    return {
        **hit._asdict(),
        "name": {"text": hit.name.text, "strength": hit.name.strength},
        "pairs": [pair._asdict() for pair in hit.pairs],
        "programmes": list(hit.programmes),
    }


def _lines(hit: Hit) -> list[str]:
    strength = {"main": "", "strong": ", an alias", "weak": ", a weak alias"}[hit.name.strength]
    pairs = ", ".join(f"{it.given} = {it.listed} {it.alike:.2f}" for it in hit.pairs)
    why = [f"names {hit.by_name:.2f}" + (", in one word" if hit.in_one_word else f" ({pairs})")]
    if hit.kind != "individual" and hit.by_birth:
        why.append(f"a company, and a birth date was given {hit.by_birth:+.2f}")
    elif hit.born != "unknown":
        why.append(f"birth date {hit.born} {hit.by_birth:+.2f}")
    if hit.by_strength:
        why.append(f"weak alias {hit.by_strength:+.2f}")
    return [
        f"HIT {hit.score:.4f} {hit.entry} {hit.kind} [{' '.join(hit.programmes)}] {hit.name.text}{strength}",
        f"    {'; '.join(why)}",
    ]
