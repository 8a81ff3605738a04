"""A long output in whole parts, so that an interrupted batch goes on where it stopped.

The parts stand in a hidden folder beside the output: Parquet files of so many rows, each with a note of all that was
counted up to its end, and a plan that says from what they were made. A part counts once its note is there. Where the plan
is another one, the folder starts anew.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from obligor.core.canonical import canonical_json
from obligor.core.errors import InvalidInputError, UnavailableError
from obligor.files import disk_trouble, whole_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

_PLAN, _LOCK = "plan.json", "lock"


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one output, and what earlier runs left of them."""

    folder: Path
    out: Path
    schema: pa.Schema

    @property
    def done(self) -> int:
        """The number of whole parts."""
        count = 0
        while self._note(count).is_file() and self.path(count).is_file():
            count += 1
        return count

    def path(self, place: int) -> Path:
        """Name the file of a part."""
        return self.folder / f"{place:05d}.parquet"

    def _note(self, place: int) -> Path:
        return self.folder / f"{place:05d}.json"

    def counted(self) -> dict[str, Any] | None:
        """Give what was counted up to the end of the last whole part."""
        done = self.done
        return json.loads(self._note(done - 1).read_bytes()) if done else None

    @contextmanager
    def write(self, place: int) -> Iterator[pq.ParquetWriter]:
        """Lend the writer of a part; it stands there whole, or not at all."""
        with (
            whole_file(self.path(place)) as partial,
            pq.ParquetWriter(partial, self.schema, **_written(self.schema)) as writer,
        ):
            yield writer

    def note(self, place: int, counted: Mapping[str, Any]) -> None:
        """Note what was counted up to the end of a part, which makes it count."""
        with whole_file(self._note(place)) as partial:
            partial.write_bytes(canonical_json(counted))

    def join(self) -> None:
        """Make one file of all parts, in the place of the output."""
        done = self.done
        if done == 1:
            self.path(0).replace(self.out)
            return
        with whole_file(self.out) as partial, pq.ParquetWriter(partial, self.schema, **_written(self.schema)) as writer:
            for place in range(done):
                with pq.ParquetFile(self.path(place), read_dictionary=_dictionaries(self.schema)) as part:
                    for group in range(part.num_row_groups):
                        writer.write_table(part.read_row_group(group).cast(self.schema))


@contextmanager
def parts_of(out: Path, *, schema: pa.Schema, plan: Mapping[str, Any]) -> Iterator[Parts]:
    """Lend the parts of an output; they are gone at the end, and after an error of the input, but stay after an interruption.

    Raises
    ------
    UnavailableError
        Where another batch is writing the same output.
    """
    folder = out.parent / f".{out.name}.parts"
    with disk_trouble(str(out)):
        out.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
        with _alone(folder, out):
            _begin(folder, canonical_json(plan))
            parts = Parts(folder, out, schema)
            try:
                yield parts
            except InvalidInputError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            except BaseException:
                if not parts.done:
                    shutil.rmtree(folder, ignore_errors=True)
                raise
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone(folder: Path, out: Path) -> Iterator[None]:
    handle = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UnavailableError(f"{out}: another batch is writing it") from None
    try:
        yield
    finally:
        os.close(handle)


def _begin(folder: Path, plan: bytes) -> None:
    """Keep the parts of the same plan, and remove those of another."""
    kept = folder / _PLAN
    with suppress(FileNotFoundError):
        if kept.read_bytes() == plan:
            return
    for path in folder.iterdir():
        if path.name != _LOCK:
            path.unlink()
    with whole_file(kept) as partial:
        partial.write_bytes(plan)


def _written(schema: pa.Schema) -> dict[str, Any]:  # the writer's arguments
    """Write dictionaries where there are few values, and scores and PDs as they are: they hardly repeat."""
    few = [name for name in schema.names if name.startswith(("points_", "reason_")) or name == "band"]
    return {"compression": "zstd", "compression_level": 1, "use_dictionary": few}


def _dictionaries(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if str(field.type).startswith("dictionary")]
