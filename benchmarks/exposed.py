"""A made-up list of politically exposed persons, as large as wanted, in the form of OpenSanctions.

No real one may be kept here. Names are put together of those of the made-up people of the benchmark: a first name of one, a
last name of another who writes in the same script. Every third last name has a letter changed, as real lists have many parts
that nobody else bears: 400,000 persons have some 360,000 between them. A person has 1.6 other spellings on average (a part left
out, the parts turned round, a letter changed, an initial), and most have a birth date, of which every third is only a year.
The same seed gives the same persons, and a longer list begins with a shorter one.
"""

from __future__ import annotations

import csv
import gzip
import random
import sys
from itertools import islice
from typing import TYPE_CHECKING, Final, TextIO

from benchmarks.data import folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLUMNS: Final = ("id", "schema", "name", "aliases", "birth_date", "dataset")
_SEED: Final = 11
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


def exposed(*, seed: int = _SEED) -> Iterator[dict[str, str]]:
    """Give person after person, without an end."""
    chance = random.Random(seed)  # noqa: S311  a sample
    scripts: dict[bool, list[dict[str, str]]] = {True: [], False: []}
    for name in ("us", "global"):
        with gzip.open(folder() / "name_screening_yente" / f"negatives_{name}.csv.gz", "rt", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                scripts[row["full_name"].isascii()].append(row)
    number = 0
    while True:
        number += 1
        people = scripts[chance.random() < 0.7]
        first, last = chance.choice(people), chance.choice(people)
        family = last["last_name"] if chance.random() < 2 / 3 else respelled(last["last_name"], chance)
        parts = [first["first_name"], *filter(None, [first["middle_name"]]), family]
        others = {_otherwise(parts, chance) for _ in range(chance.choice((0, 1, 1, 2, 3, 5)))}
        born = chance.choice((first["date_of_birth"], first["date_of_birth"], first["date_of_birth"][:4], ""))
        yield dict(
            zip(
                _COLUMNS,
                (
                    f"Q{number}",
                    "Person",
                    " ".join(parts),
                    ";".join(sorted(others - {" ".join(parts)})),
                    born,
                    f"Invented Register {number % 97}",
                ),
                strict=True,
            )
        )


def write(file: TextIO, persons: int, *, seed: int = _SEED) -> None:
    """Write a list of so many."""
    rows = csv.DictWriter(file, _COLUMNS, quoting=csv.QUOTE_ALL)
    rows.writeheader()
    rows.writerows(islice(exposed(seed=seed), persons))


def respelled(name: str, chance: random.Random) -> str:
    at = chance.randrange(len(name)) if name else 0
    return name[:at] + chance.choice(_LETTERS) + name[at + chance.choice((0, 1)) :]


def _otherwise(parts: list[str], chance: random.Random) -> str:
    first, *middle, last = parts
    return chance.choice(
        (
            f"{last} {first}",
            f"{first} {last}",
            f"{first[:1]}. {' '.join([*middle, last])}",
            " ".join([respelled(first, chance), *middle, last]),
            " ".join([first, *middle, respelled(last, chance)]),
        )
    )


if __name__ == "__main__":
    write(sys.stdout, int(sys.argv[1]))
