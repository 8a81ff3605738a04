"""A tile has one name, that of C2SP tlog-tiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.tiles import Tile, parse_tile


def name_of(level: int, index: int, width: int = 256) -> str:
    """Name a tile as the specification does."""
    groups = [f"{index:0{3 * -(-len(str(index)) // 3)}d}"[at : at + 3] for at in range(0, len(str(index)) + 2, 3)]
    *above, last = [it for it in groups if it]
    return f"{level}/{''.join(f'x{it}/' for it in above)}{last}" + (f".p/{width}" if width < 256 else "")


@pytest.mark.parametrize(
    ("name", "tile"),
    [
        ("0/000", Tile(0, 0)),
        ("0/x001/x234/067", Tile(0, 1_234_067)),  # the example of the specification
        ("1/000.p/17", Tile(1, 0, 17)),
        ("63/x001/000.p/255", Tile(63, 1000, 255)),
    ],
)
def test_a_tile_is_named_as_the_specification_names_it(name: str, tile: Tile) -> None:
    assert parse_tile(name) == tile
    assert name_of(tile.level, tile.index, tile.width) == name


@given(st.integers(0, 63), st.integers(0, 10**18 - 1), st.integers(1, 256))
def test_every_tile_is_read_from_its_name(level: int, index: int, width: int) -> None:
    assert parse_tile(name_of(level, index, width)) == Tile(level, index, width)


@pytest.mark.parametrize(
    "name",
    [
        *("", "0", "0/", "0/0", "0/00", "0/0000", "0/000/", "/000", "00/000", "-1/000", "+1/000", "100/000", " 0/000"),
        *("0/x000/000", "0/x000/x001/000", "0/001/000", "0/x001", "0/x01/000", "0/X001/000", "0/x001//000", "0/000\n"),
        *("0/000.p/0", "0/000.p/256", "0/000.p/017", "0/000.p/", "0/000.p", "0/000.p/1/", "0/000.p/-1", "0/000.P/1"),
        *("entries/000", "data/000", "0/\N{ARABIC-INDIC DIGIT ONE}00", f"0/{'x001/' * 6}000", f"0/{'9' * 5000}"),
    ],
)
def test_what_is_written_otherwise_names_no_tile(name: str) -> None:
    assert parse_tile(name) is None


@given(st.text("0123456789x/.p", max_size=24))
def test_a_tile_has_no_second_name(name: str) -> None:
    tile = parse_tile(name)
    assert tile is None or name_of(tile.level, tile.index, tile.width) == name
