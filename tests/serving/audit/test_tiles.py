"""Who knows C2SP tlog-tiles alone reads the log by its tiles, and comes to the root of its checkpoint."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, cast

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.core.test_merkle import Shelf, by_the_definition, numbered
from tests.core.test_tiles import name_of
from tests.lending import KEY
from tests.serving.audit.test_log import told
from tests.serving.http.fakes import house
from tests.serving.http.serving import run
from tests.stores import as_owner, held, independent_root, submission

from obligor.adapters.store.recorder import PostgresRecorder
from obligor.core.checkpoints import parse_checkpoint, parse_note
from obligor.core.errors import IntegrityError, NotFoundError
from obligor.serving.acts import Submission
from obligor.serving.audit.log import AuditLog
from obligor.serving.sources import live_sources

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from obligor.serving.audit.log import Tree

HASHES = numbered(70_000)
SHELF = Shelf(HASHES)
AROUND_TILES = (0, 1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 65_792, 70_000)
SIZES = st.sampled_from(AROUND_TILES) | st.integers(0, 70_000)


class PartOfAShelf:
    """The tree of a size, in a store that holds more than the log has yet."""

    def __init__(self, size: int) -> None:
        self._size = size

    async def size(self) -> int:
        return self._size

    async def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        return SHELF(level, start, stop)


def log_of(size: int) -> AuditLog:
    return AuditLog(cast("Tree", PartOfAShelf(size)), KEY, live_sources())


def tile(size: int, name: str) -> bytes:
    return asyncio.run(log_of(size).tile(name))


def names_in(size: int) -> dict[tuple[int, int], str]:
    """Name every tile of a tree of a size, as the specification tells which there are."""
    found, level = {}, 0
    while row := size // 256**level:
        found |= {(level, number): name_of(level, number) for number in range(row // 256)}
        if row % 256:
            found[level, row // 256] = name_of(level, row // 256, row % 256)
        level += 1
    return found


async def root_by_tiles(size: int, fetch: Callable[[str], Awaitable[bytes]]) -> bytes:
    """Read every tile, hold each against the one above, and give the root: RFC 6962 as it is written, nothing of ours."""
    rows: dict[int, list[bytes]] = {}
    for (level, number), name in names_in(size).items():
        data = await fetch(name)
        assert len(data) == 32 * min(256, size // 256**level - number * 256), name
        rows.setdefault(level, []).extend(data[at : at + 32] for at in range(0, len(data), 32))
    for level, row in rows.items():
        whole = [by_the_definition(row[at : at + 256]) for at in range(0, len(row) - 255, 256)]
        assert whole == rows.get(level + 1, [])
    return by_the_definition(rows.get(0, []))


@pytest.mark.parametrize("size", AROUND_TILES)
def test_tiles_lead_to_the_root(size: int) -> None:
    assert asyncio.run(root_by_tiles(size, log_of(size).tile)) == by_the_definition(HASHES[:size])


@given(st.integers(0, 1200))
def test_tiles_of_any_size_lead_to_the_root_that_pymerkle_gives(size: int) -> None:
    bodies = [number.to_bytes(4, "big") for number in range(size)]
    expected = independent_root(bodies) if bodies else hashlib.sha256(b"").digest()
    assert asyncio.run(root_by_tiles(size, log_of(size).tile)) == expected


@given(SIZES, SIZES, st.data())
def test_a_tile_that_was_given_stays_and_a_part_is_its_beginning(a: int, b: int, data: st.DataObject) -> None:
    old, new = sorted((a, b))
    if not old:
        return
    (level, number), name = data.draw(st.sampled_from(list(names_in(old).items())))
    before = tile(old, name)
    assert tile(new, name) == before
    now = names_in(new)[level, number]
    assert tile(new, now).startswith(before)
    width = data.draw(st.integers(1, len(before) // 32))
    assert tile(old, name_of(level, number, width)) == before[: width * 32]


@given(SIZES, st.integers(0, 63), st.integers(0, 300), st.integers(1, 256))
@example(0, 0, 0, 1)
@example(255, 0, 0, 256)
@example(255, 1, 0, 1)
@example(256, 0, 1, 1)
@example(65_535, 2, 0, 1)
def test_there_is_no_tile_beyond_the_size(size: int, level: int, number: int, width: int) -> None:
    if number * 256 + width <= size // 256**level:
        assert len(tile(size, name_of(level, number, width))) == width * 32
    else:
        with pytest.raises(NotFoundError, match="no such tile"):
            tile(size, name_of(level, number, width))


@pytest.mark.parametrize("name", ["entries/000", "0/000.p/256", "0/0", "00/000"])
def test_what_names_no_tile_is_not_found(name: str) -> None:
    with pytest.raises(NotFoundError, match="wanted LEVEL/NUMBER"):
        tile(70_000, name)


def test_an_auditor_gets_tiles_as_bytes_and_what_is_not_there_is_a_problem() -> None:
    async def main() -> None:
        async with house(log=log_of(70_000)).client("auditor") as client:
            whole = await client.get("/v1/log/tile/0/272")
            part = await client.get("/v1/log/tile/0/273.p/112")
            above = await client.get("/v1/log/tile/1/x001/000")
            assert (whole.status_code, part.status_code, above.status_code) == (200, 200, 404)
            assert whole.headers["content-type"] == part.headers["content-type"] == "application/octet-stream"
            for given in (whole, part):  # by whoever asked, and by nobody on the way
                assert given.headers.get_list("cache-control") == ["private, max-age=31536000, immutable"]
                assert given.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
                assert given.headers["x-content-type-options"] == "nosniff"
            for other in (above, await client.get("/v1/log/checkpoint?x=1"), await client.get("/v1/log/key")):
                assert other.headers.get_list("cache-control") == ["no-store"]
            assert whole.content == b"".join(HASHES[272 * 256 : 273 * 256])
            assert part.content == b"".join(HASHES[273 * 256 :])
            assert above.json()["type"] == "urn:obligor:problem:not-found"
            for none in ("entries/000", "0/273.p/113", "0/273", "3/000.p/1", "0/000.p/999", "x/y/z", "0/", "0/%00"):
                assert (await client.get(f"/v1/log/tile/{none}")).status_code == 404, none
            assert (await client.get("/v1/log/tile/0/272?fresh=1")).status_code == 422

    run(main())


@pytest.fixture
def url(store_url: str) -> str:
    """A store with six hundred acts."""

    async def run() -> None:
        async with PostgresRecorder(store_url) as recorder:
            for count in (255, 2, 343):  # a tile is whole in the midst of a batch
                await recorder.record(Submission(tuple(submission().acts[0] for _ in range(count)), lambda _: b""))

    asyncio.run(run())
    return store_url


def test_the_tiles_of_a_store_lead_to_the_root_of_its_checkpoint(url: str) -> None:
    async def read(log: AuditLog) -> None:
        head = parse_checkpoint(parse_note(await log.checkpoint()).text)
        assert head.size == 600
        assert await root_by_tiles(head.size, log.tile) == head.root == held(url).root
        hashes = [it["hash"] for it in held(url).leaves]
        assert await log.tile("1/000.p/2") == by_the_definition(hashes[:256]) + by_the_definition(hashes[256:512])
        for none in ("0/002", "0/002.p/89", "0/003.p/1", "1/000", "1/000.p/3", "2/000.p/1", "0/x100/000"):
            with pytest.raises(NotFoundError):
                await log.tile(none)

    told(url, read)


def test_a_tile_of_which_the_store_lost_a_part_is_not_given(url: str) -> None:
    with psycopg.connect(as_owner(url)) as connection:
        connection.execute("DELETE FROM obligor.node WHERE level = 1 AND index = 1")
    with pytest.raises(IntegrityError, match="the log keeps 1 of its 2 hashes"):
        told(url, lambda log: log.tile("1/000.p/2"))
