"""Screening by name: whom it finds, whom it takes for another, and how long one screening takes.

The list is OFAC's of April 2021 with the persons on the United Nations' list and the members of the US Congress, each by one
name. Those who should be found are the same persons of the United Nations with typing errors, parts in another order and
changed birth dates; as they are, with an inner part of the name left out; and the members of Congress. Those who should not
are 100,000 made-up people of many countries, some of whom bear a listed name by chance: that counts as a mistake here.
The threshold is chosen on every other row, and what it does is counted on the rest. Times are of the processor.
"""

from __future__ import annotations

import csv
import gzip
import random
import time
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np
from rapidfuzz import fuzz, process

from benchmarks.data import folder
from obligor.core.errors import ScreeningError
from obligor.screening.births import BirthDate, parse_born
from obligor.screening.lists import Entry, ListedName, ListSnapshot
from obligor.screening.matching import Matcher
from obligor.screening.names import spell
from obligor.screening.ofac import read_ofac
from obligor.screening.rules import Rules

GRID = [round(0.70 + 0.01 * at, 2) for at in range(30)]
MOST_MISTAKEN = 0.001
SHOWN = (0.78, 0.80, 0.82, 0.84, 0.86, 0.88, 0.90, 0.92, 0.94)
_LEAST = 0.6
_SEED = 5


class Asked(NamedTuple):
    """Somebody who is screened; ``entry`` is whom they are on the list, if anybody."""

    parts: tuple[str, ...]
    born: BirthDate | None
    entry: str | None


class Found(NamedTuple):
    """The score of the right entry for those on the list, of the best entry for the others."""

    score: np.ndarray

    def at(self, threshold: float, *, half: int | None = None) -> float:
        """Give the share that is a hit."""
        rows = self.score if half is None else self.score[half::2]
        return float((rows >= threshold).mean())


def run(*, quick: bool) -> dict[str, object]:
    """Screen everybody; ``quick`` takes one in a hundred of the made-up people."""
    snapshot, sets = _world(one_in=100 if quick else 1)
    begun = time.thread_time()
    matcher = Matcher.of(snapshot, replace(Rules(), threshold=_LEAST))
    build_s = time.thread_time() - begun
    names = sum(len(it.names) for it in snapshot.entries if it.kind in Rules().kinds)
    print(f"{names:,} names, made ready in {build_s:.2f} s")
    found, times = {}, []
    for name, people in sets.items():
        found[name], its_times = _screen(matcher, people)
        step = 10 if name == "made up" and not quick else 1
        found[f"{name}, no birth date"], _ = _screen(matcher, [it._replace(born=None) for it in people[::step]])
        times += its_times
    chosen = _chosen(found["treated"], found["made up"])
    result = {
        "names": names,
        "build_s": build_s,
        "screenings": len(times),
        "median_ms": float(np.median(times)) * 1e3,
        "p99_ms": float(np.quantile(times, 0.99)) * 1e3,
        "chosen_threshold": chosen,
        "shipped_threshold": Rules().threshold,
        "asked": {name: len(people) for name, people in sets.items()},
        "other_half": _figures(found, chosen),
        "curve": {f"{at:.2f}": _shares(found, at) for at in SHOWN},
        "index": _index(matcher, sets["treated"][:: 20 if quick else 4]),
        "token_sort_ratio": _peer(matcher, snapshot, sets, step=10 if quick else 20),
    }
    _tell(result)
    return result


def _world(*, one_in: int) -> tuple[ListSnapshot, dict[str, list[Asked]]]:
    un, treated, congress = (
        _rows(f"positives_{it}.csv.gz") for it in ("un_untreated", "un_treated", "us_congress_untreated")
    )
    made_up = [it for name in ("us", "global") for it in _rows(f"negatives_{name}.csv.gz")[::one_in]]
    listed = [*_entries(un, "un"), *_entries(congress, "congress")]
    snapshot = ListSnapshot("benchmark", None, (*read_ofac(folder() / "ofac_sdn_2021").entries, *listed))
    return snapshot, {
        "treated": _asked(treated, "un"),
        "a part left out": _shortened(un),
        "Congress": _asked(congress, "congress"),
        "made up": _asked(made_up, None),
    }


def _rows(name: str) -> list[dict[str, str]]:
    with gzip.open(folder() / "name_screening_yente" / name, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _entries(rows: list[dict[str, str]], prefix: str) -> list[Entry]:
    return [
        Entry(
            f"{prefix}-{at}", "individual", (ListedName(row["full_name"], "main"),), tuple(filter(None, [_born(row)]))
        )
        for at, row in enumerate(rows)
    ]


def _asked(rows: list[dict[str, str]], prefix: str | None) -> list[Asked]:
    return [
        Asked(spell(row["full_name"]), _born(row), f"{prefix}-{at}" if prefix else None) for at, row in enumerate(rows)
    ]


def _shortened(rows: list[dict[str, str]]) -> list[Asked]:
    """Leave out one part of each name of three or more, neither the first nor the last."""
    chance = random.Random(_SEED)  # noqa: S311  a sample
    whole = [(it, chance.random()) for it in _asked(rows, "un") if len(it.parts) > 2]
    cut = [(it, 1 + int(drawn * (len(it.parts) - 2))) for it, drawn in whole]
    return [it._replace(parts=it.parts[:at] + it.parts[at + 1 :]) for it, at in cut]


def _born(row: dict[str, str]) -> BirthDate | None:
    try:
        return parse_born(row["date_of_birth"])
    except ScreeningError:  # a few are written 1969-7-16, and some are not known
        return None


def _screen(matcher: Matcher, people: list[Asked]) -> tuple[Found, list[float]]:
    scores, times = [], []
    for it in people:
        begun = time.thread_time()
        hits = matcher.hits(it.parts, it.born)
        times.append(time.thread_time() - begun)
        right = (hit.score for hit in hits if it.entry in (None, hit.entry))
        scores.append(next(right, 0.0))
    return Found(np.array(scores)), times


def _chosen(listed: Found, made_up: Found) -> float:
    """Choose on the first half: the highest threshold that finds the most, where at most 1 of 1,000 is mistaken."""
    allowed = [at for at in GRID if made_up.at(at, half=0) <= MOST_MISTAKEN]
    return max(allowed, key=lambda at: (listed.at(at, half=0), at))


def _figures(found: dict[str, Found], threshold: float) -> dict[str, float]:
    treated, made_up = found["treated"].score[1::2], found["made up"].score[1::2]
    right, wrong = int((treated >= threshold).sum()), int((made_up >= threshold).sum())
    return {
        "listed": len(treated),
        "made_up": len(made_up),
        "found": right,
        "mistaken": wrong,
        "recall": right / len(treated),
        "precision": right / max(right + wrong, 1),
        "mistaken_share": wrong / len(made_up),
    }


def _shares(found: dict[str, Found], threshold: float) -> dict[str, float]:
    return {name: it.at(threshold) for name, it in found.items()}


def _index(matcher: Matcher, people: list[Asked]) -> dict[str, float]:
    """Hold the index to comparing with every name: whether it finds the same, at the threshold that is shipped."""
    threshold, same, begun, quick = Rules().threshold, 0, 0.0, 0.0
    for it in people:
        start = time.thread_time()
        every = matcher.hits_among_all(it.parts, it.born)
        middle = time.thread_time()
        some = matcher.hits(it.parts, it.born)
        quick += time.thread_time() - middle
        begun += middle - start
        same += [hit for hit in every if hit.score >= threshold] == [hit for hit in some if hit.score >= threshold]
    return {"asked": len(people), "same": same, "faster": begun / quick}


def _peer(matcher: Matcher, snapshot: ListSnapshot, sets: dict[str, list[Asked]], *, step: int) -> dict[str, float]:
    """Take rapidfuzz's ratio of sorted parts over every name, without birth dates, as what one would write in an hour."""
    named = [
        (" ".join(spell(name.text)), it.id) for it in snapshot.entries if it.kind in Rules().kinds for name in it.names
    ]
    texts, owners = [text for text, _ in named], [owner for _, owner in named]

    def scores(people: list[Asked]) -> tuple[np.ndarray, float]:
        begun, best = time.thread_time(), []
        for it in people:
            near = process.extract(" ".join(it.parts), texts, scorer=fuzz.token_sort_ratio, score_cutoff=70, limit=20)
            right = (score / 100 for _, score, at in near if it.entry in (None, owners[at]))
            best.append(next(right, 0.0))
        return np.array(best), (time.thread_time() - begun) / len(people)

    treated, _ = scores(sets["treated"])
    shortened, _ = scores(sets["a part left out"])
    made_up, each_s = scores(sets["made up"][::step])
    ours, times = _screen(matcher, [it._replace(born=None) for it in islice(sets["made up"], 0, None, step)])
    threshold = next((at for at in GRID if (made_up >= at).mean() <= MOST_MISTAKEN), GRID[-1])
    return {
        "threshold": threshold,
        "treated": float((treated >= threshold).mean()),
        "a part left out": float((shortened >= threshold).mean()),
        "made up": float((made_up >= threshold).mean()),
        "ours, made up": ours.at(Rules().threshold),
        "times_as_long": each_s / float(np.mean(times)),
    }


def _tell(result: dict) -> None:
    print(f"one screening {result['median_ms']:.2f} ms, 99th percentile {result['p99_ms']:.2f} ms")
    print(f"threshold {result['chosen_threshold']}, on the other half: {result['other_half']}")
    for at, it in result["curve"].items():
        print(at, *(f"{name} {share:.4f}" for name, share in it.items()), sep="  ")
    print(f"index: {result['index']}\nratio of sorted parts: {result['token_sort_ratio']}")
