"""An anchor in an object store: one locked object for each checkpoint, which nobody can delete or replace for years.

The bucket has Object Lock, and every object is written in compliance mode with a day until which it is retained; not even
the account's owner can take it away before. ``If-None-Match: *`` refuses a second object under the same name. A delete marker
would hide an object and let another take its name; so what is read is the *oldest* version, which the lock holds in place.

Names are sizes in hexadecimal, padded, so that the store's own order is that of the log. Credentials come only from the
standard AWS environment, never from the address.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import botocore.session  # type: ignore[import-untyped]  # ships no types
from botocore.config import Config  # type: ignore[import-untyped]  # ships no types
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # ships no types

from obligor.adapters.anchors.following import follows, head_of, kept_head, require_same_root
from obligor.core.checkpoints import MOST_NOTE_BYTES
from obligor.core.errors import IntegrityError, InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE: Final = {"connect_timeout": 5, "read_timeout": 10, "retries": {"max_attempts": 2, "mode": "standard"}}
_SIZES: Final = 1 << 63
_ADDRESS: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9!_.*'()/-]*))?", re.ASCII)
_NAME: Final = re.compile(r"([0-9a-f]{16})\.checkpoint")
_HINTS: Final = {
    "InvalidRequest": "the bucket must have been made with Object Lock",
    "AccessDenied": "see the rights that an anchor needs in docs/how-to/anchors.md",
    "NoSuchBucket": "an anchor's bucket is made by the lender, with Object Lock",
}


def _now() -> datetime:
    return datetime.now(UTC)


class S3Anchor:
    """Keeps checkpoints at ``s3://bucket/prefix``.

    Parameters
    ----------
    retain_days : int
        For how many days from its writing nobody can remove a checkpoint.
    endpoint : str, optional
        The address of another object store; without it, ``AWS_ENDPOINT_URL`` or Amazon's own.
    clock : callable
        Gives the present time.
    """

    def __init__(
        self, url: str, *, retain_days: int, endpoint: str | None = None, clock: Callable[[], datetime] = _now
    ) -> None:
        match = _ADDRESS.fullmatch(url)
        if match is None:  # not repeated: it may hold a secret
            raise InvalidInputError(
                "an anchor's address is no S3 address; wanted s3://bucket/prefix",
                hint="credentials come from the AWS environment alone, such as AWS_PROFILE",
            )
        self._bucket = match[1]
        prefix = (match[2] or "").strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._retain = timedelta(days=retain_days)
        self._endpoint = endpoint
        self._clock = clock
        self._client: Any = None  # botocore makes the client's class as it runs
        self._lock_seen = False
        self.name = f"s3://{self._bucket}/{prefix}".rstrip("/")

    def publish(self, note: bytes) -> None:
        """Keep a checkpoint; return once the store has it.

        Raises
        ------
        SplitViewError, RollbackError
            Where the store has another root for this size, or a longer log.
        """
        given = head_of(note)
        with self._trouble():
            newest = self._newest(at_least=given.size)
            known = None if newest is None else kept_head(self._read(newest), anchor=self.name)
            if follows(given, known, anchor=self.name):
                key = self._key(given.size)
                self._put(key, note)
                kept = self._read(key)  # the name may have been taken, now or long ago
                require_same_root(given, kept_head(kept, anchor=self.name), anchor=self.name)
                self._see_lock(key)

    def latest(self) -> bytes | None:
        """Give the newest checkpoint; none where there is none yet."""
        with self._trouble():
            key = self._newest(at_least=0)
            return None if key is None else self._read(key)

    def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _newest(self, *, at_least: int) -> str | None:
        """Find the name of the longest log that is kept, of so many leaves or more; a name whose object is hidden counts."""
        visible = self._newest_visible(at_least)
        after = visible or (self._key(at_least - 1) if at_least else None)
        versions = self._connected().get_paginator("list_object_versions")
        from_there = {"KeyMarker": after} if after else {}
        found = {visible or ""}
        for page in versions.paginate(Bucket=self._bucket, Prefix=self._prefix, **from_there):
            found.update(each["Key"] for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())))
        return max(found) or None

    def _newest_visible(self, low: int) -> str | None:
        """Find the longest log by strides that double, and then by halves: names are in order."""
        newest, high, stride = None, _SIZES, 0
        while low < high:
            probe = min(low + stride, (low + high) // 2)
            found = self._first_from(probe)
            if found is None:
                high = probe
            else:
                newest, low, stride = found, self._size(found) + 1, max(1, 2 * stride)
        return newest

    def _first_from(self, size: int) -> str | None:
        """Give the first name of a log of so many leaves or more."""
        after = {"StartAfter": self._key(size - 1)} if size else {}
        page = self._connected().list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1, **after)
        return next((each["Key"] for each in page.get("Contents", ())), None)

    def _key(self, size: int) -> str:
        return f"{self._prefix}{size:016x}.checkpoint"

    def _size(self, key: str) -> int:
        match = _NAME.fullmatch(key.removeprefix(self._prefix))
        if match is None:
            raise IntegrityError(f"{self.name}: holds an object that is no checkpoint; wanted a prefix of its own")
        return int(match[1], 16)

    def _put(self, key: str, note: bytes) -> None:
        """Write an object, unless its name is taken."""
        try:
            self._connected().put_object(
                Bucket=self._bucket,
                Key=key,
                Body=note,
                ContentType="text/plain; charset=utf-8",
                IfNoneMatch="*",
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=self._clock() + self._retain,
            )
        except ClientError as error:
            if _code(error) != "PreconditionFailed":
                raise

    def _see_lock(self, key: str) -> None:
        """See once that the store locks what it is asked to lock: some that speak S3 pass over what they do not know."""
        if not self._lock_seen:
            mode = self._connected().head_object(Bucket=self._bucket, Key=key).get("ObjectLockMode")
            if mode != "COMPLIANCE":
                raise IntegrityError(
                    f"{self.name}: the store took a checkpoint and did not lock it",
                    hint="where it did, s3:GetObjectRetention is lacking",
                )
            self._lock_seen = True

    def _read(self, key: str) -> bytes:
        """Read the oldest version under a name."""
        pages = self._connected().get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=key)
        versions = [each for page in pages for each in page.get("Versions", ()) if each["Key"] == key]
        if not versions:
            raise IntegrityError(f"{self.name}: the checkpoint {key} was removed")
        oldest = min(reversed(versions), key=lambda each: each["LastModified"])  # the store lists the newest first
        found = self._connected().get_object(Bucket=self._bucket, Key=key, VersionId=oldest["VersionId"])
        note: bytes = found["Body"].read(MOST_NOTE_BYTES + 1)
        return note

    def _connected(self) -> Any:
        if self._client is None:
            session = botocore.session.get_session()
            try:
                self._client = session.create_client("s3", endpoint_url=self._endpoint, config=Config(**_PATIENCE))
            except ValueError:  # which repeats what it got
                raise InvalidInputError(
                    f"{self.name}: a region or an endpoint that AWS cannot have",
                    hint="they come from the environment of AWS, such as AWS_DEFAULT_REGION and AWS_ENDPOINT_URL",
                ) from None
        return self._client

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = _code(error)
            raise UnavailableError(f"{self.name}: the store refused ({code})", hint=_HINTS.get(code)) from error
        except (BotoCoreError, OSError) as error:
            raise UnavailableError(f"{self.name}: the store did not answer ({type(error).__name__})") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))
