"""Tiles: the stored hashes of the tree under the names by which clients of other logs ask for them (C2SP tlog-tiles).

A tile is a run of 256 stored hashes of one level, or the beginning of one. Its name is the level and its number among those of
the level, in groups of three digits, with its width where it is not whole: ``0/x001/x234/067``, ``1/000.p/17``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from obligor.core.merkle import TILE

_TILE_BITS: Final = 8
_NAME: Final = re.compile(r"(0|[1-9][0-9]?)/(?!x000/)((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tile:
    """The first ``width`` hashes of the tile number ``index`` of a level."""

    level: int
    index: int
    width: int = TILE

    @property
    def start(self) -> int:
        """The number of its first hash among those of its level."""
        return self.index * TILE

    @property
    def stop(self) -> int:
        """The number after that of its last hash."""
        return self.start + self.width

    def is_in(self, size: int) -> bool:
        """Tell whether a tree of a size has every hash of it."""
        return self.stop <= size >> self.level * _TILE_BITS


def parse_tile(name: str) -> Tile | None:
    """Read the name of a tile, in its one form; None where it names none."""
    found = _NAME.fullmatch(name)
    if not found:
        return None
    level, index, width = found.groups()
    tile = Tile(int(level), int(re.sub("[x/]", "", index)), int(width or TILE))
    return None if width and tile.width >= TILE else tile
