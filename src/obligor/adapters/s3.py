"""A tape in an S3 object store: one object, or the objects under a prefix, at Amazon or at any other endpoint.

Credentials come only from the standard AWS environment (variables, profile, instance role), never from the address.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import s3fs
from botocore.exceptions import (  # type: ignore[import-untyped]  # ships no types
    BotoCoreError,
    NoCredentialsError,
    PartialCredentialsError,
)
from fsspec.callbacks import Callback  # type: ignore[import-untyped]  # ships no types

from obligor.core.errors import SourceError, UnavailableError
from obligor.ingestion.sources import RawFile, check_pattern, holds_data, no_data, nothing_matches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obligor.core.snapshot import TableRequest
    from obligor.ingestion.sources import Advance

_PATIENCE = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 3, "mode": "standard"}}
_LOCAL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class S3Source:
    """A tape at ``s3://bucket/key`` or under ``s3://bucket/prefix``.

    Parameters
    ----------
    endpoint : str, optional
        The address of another object store; without it, ``AWS_ENDPOINT_URL`` or Amazon's own.
    """

    def __init__(self, url: str, *, endpoint: str | None = None) -> None:
        address = url.removeprefix("s3://")
        bucket = address.partition("/")[0]
        if address == url or not bucket:
            raise SourceError("the tape's address is no S3 address; wanted s3://bucket/key or s3://bucket/prefix")
        if "@" in bucket or (":" in bucket and not bucket.startswith("arn:")):
            raise SourceError(
                "the tape's address holds more than a bucket and a key; wanted s3://bucket/key",
                hint="credentials come from the AWS environment alone, such as AWS_PROFILE",
            )
        self._root = address.rstrip("/")
        self._endpoint = endpoint
        self._store: s3fs.S3FileSystem | None = None

    def describe(self) -> str:
        """Give the address."""
        return f"s3://{self._root}"

    def fetch(self, request: TableRequest, into: Path, *, progress: Advance) -> tuple[RawFile, ...]:
        """Copy the table's objects, ordered by key."""
        with self._errors():
            return tuple(
                RawFile(self._copy(key, into / f"{index:04d}", progress=progress), self._named(key))
                for index, key in enumerate(self._keys(request))
            )

    def close(self) -> None:
        """Close the connections."""
        store, self._store = self._store, None
        if store is not None and store._s3 is not None:  # noqa: SLF001  its property `s3` would connect anew
            store.close_session(store.loop, store.s3)

    # --- which objects ---

    def _keys(self, request: TableRequest) -> list[str]:
        if self._is_object(self._root):
            return [self._only_key(request)]
        if request.file:
            return self._matching(request.file)
        return self._data_keys(self._root)

    def _only_key(self, request: TableRequest) -> str:
        if request.file and not PurePosixPath(self._root).match(request.file):
            raise SourceError(
                f"{self.describe()} is one object, but the contract looks for '{request.file}' (table {request.name})",
                hint="give the prefix under which it lies",
            )
        return self._root

    def _matching(self, pattern: str) -> list[str]:
        check_pattern(pattern)
        literal = f"{self._root}/{pattern}".rstrip("/")
        if self._is_object(literal):
            return [literal]
        depth = len(PurePosixPath(pattern).parts)
        names = {self._named(key): key for key in self._below(self._root, depth=depth)}
        found = sorted(name for name in names if _fits(name, pattern, depth))
        if found:
            return [names[name] for name in found]
        if self._below(literal, depth=1):
            return self._data_keys(literal)
        raise nothing_matches(pattern, self.describe(), names)

    def _data_keys(self, prefix: str) -> list[str]:
        keys = self._below(prefix, depth=1)
        if not keys:
            raise SourceError(f"s3://{prefix} does not exist; wanted an object, or a prefix with objects under it")
        found = sorted(key for key in keys if holds_data(PurePosixPath(key).name))
        if not found:
            raise no_data(f"s3://{prefix}")
        return found

    def _is_object(self, path: str) -> bool:
        return bool(self._connected().isfile(path))

    def _below(self, prefix: str, *, depth: int) -> list[str]:
        return list(self._connected().find(prefix, maxdepth=depth))

    def _named(self, key: str) -> str:
        return PurePosixPath(key).name if key == self._root else key[len(self._root) + 1 :]

    # --- the wire ---

    def _connected(self) -> s3fs.S3FileSystem:
        if self._store is None:
            self._store = s3fs.S3FileSystem(
                endpoint_url=self._endpoint,
                config_kwargs=_PATIENCE,
                use_listings_cache=False,
                skip_instance_cache=True,
            )
        return self._store

    def _copy(self, key: str, target: Path, *, progress: Advance) -> Path:
        # One stream for each object: the ranges of a parallel download could come from two versions of it.
        self._connected().get_file(key, str(target), callback=_Telling(progress), max_concurrency=1)
        size = self._connected().info(key)["size"]
        if target.stat().st_size != size:
            raise SourceError(f"s3://{key} changed or broke off: wanted {size} bytes, got {target.stat().st_size}")
        return target

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise SourceError(f"{self.describe()} does not exist, or a part of it is gone") from error
        except PermissionError as error:
            raise SourceError(
                f"{self.describe()} may not be read: {error}", hint="are the AWS credentials those of a reader?"
            ) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise SourceError(
                f"{self.describe()} needs AWS credentials, and the environment holds none",
                hint="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ) from error
        except (BotoCoreError, OSError) as error:
            if isinstance(error, OSError) and error.errno in _LOCAL_DISK:
                raise
            raise UnavailableError(f"the store of {self.describe()} did not do its part: {error}") from error


class _Telling(Callback):  # type: ignore[misc]  # fsspec ships no types
    """Passes on how many bytes arrived."""

    def __init__(self, progress: Advance) -> None:
        super().__init__()
        self._progress = progress

    def relative_update(self, inc: int = 1, **_: Any) -> None:  # fsspec's own signature
        self._progress(inc)


def _fits(name: str, pattern: str, depth: int) -> bool:
    path = PurePosixPath(name)
    return len(path.parts) == depth and path.match(pattern)
