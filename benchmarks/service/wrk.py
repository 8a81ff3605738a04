"""Load by wrk: a new idempotency key with each request, and no answer but 2xx.

A body that holds ``SERIAL`` has a number there instead, which goes up by one from request to request, from anywhere.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

HINT = "wrk is not installed; on Debian: apt-get install wrk"
SERIAL = "########"
_SCRIPT = """
local heads, tails, ends, at, thread = {}, {}, {}, 0, 0
local threads = 0
function setup(it) it:set("number", threads); threads = threads + 1 end
function init()
  local host = wrk.headers["Host"] or (wrk.host .. ":" .. wrk.port)
  for place, body in ipairs(bodies) do
    heads[place] = "POST " .. path .. " HTTP/1.1\\r\\nHost: " .. host .. "\\r\\n" .. extra
      .. "Content-Type: application/json\\r\\nContent-Length: " .. #body
      .. "\\r\\nIdempotency-Key: " .. run .. "-" .. number .. "-"
    local first, last = body:find(serial, 1, true)
    tails[place] = "\\r\\n\\r\\n" .. body:sub(1, (first or #body + 1) - 1)
    ends[place] = first and body:sub(last + 1)
  end
end
function request()
  at = at + 1
  local place = at % #heads + 1
  if ends[place] then
    return heads[place] .. at .. tails[place] .. string.format("%08d", (first + at) % 100000000) .. ends[place]
  end
  return heads[place] .. at .. tails[place]
end
function done(summary, latency)
  local e = summary.errors
  print(string.format('FIGURES {"requests": %d, "us": %d, "refused": %d, "broken": %d, "p50": %d, "p99": %d, "max": %d}',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
"""


@dataclass(frozen=True)
class Load:
    """Requests to one address, with bodies that take turns."""

    url: str
    path: str
    bodies: tuple[bytes, ...]
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Figures:
    """What one load saw."""

    requests: int
    per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    """Answers of 400 or more."""
    broken: int
    """Connections that failed, and answers that did not come."""

    def plain(self) -> dict[str, float]:
        """Give the figures that are kept."""
        return {"per_s": round(self.per_s), "p50_ms": round(self.p50_ms, 2), "p99_ms": round(self.p99_ms, 2)}


def require_wrk() -> None:
    """End with a hint where there is no wrk."""
    if shutil.which("wrk") is None:
        print(HINT, file=sys.stderr)
        sys.exit(2)


def press(load: Load, *, connections: int, seconds: int, strict: bool = True) -> Figures:
    """Load for some seconds; where it is strict, an answer of 400 or more, or none, is an error."""
    with start(load, connections=connections, seconds=seconds) as running:
        return running.figures(strict=strict)


def start(load: Load, *, connections: int, seconds: int) -> Running:
    """Begin to load."""
    return Running(load, connections, seconds)


class Running:
    """A load that runs."""

    def __init__(self, load: Load, connections: int, seconds: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="obligor-wrk-")
        script = Path(self._folder.name) / "load.lua"
        script.write_text(_script(load))
        self._process = subprocess.Popen(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
             "--timeout", "30s", "-s", script, load.url],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def figures(self, *, strict: bool = True) -> Figures:
        """Wait until it ends, and give what it saw."""
        said = self._process.communicate()[0]
        line = next((line for line in said.splitlines() if line.startswith("FIGURES ")), None)
        if line is None:
            raise RuntimeError(f"wrk gave no figures: {said[-1000:]}")
        it = json.loads(line.removeprefix("FIGURES "))
        if strict and it["refused"] + it["broken"]:
            raise RuntimeError(
                f"of {it['requests']} requests {it['refused']} were refused, {it['broken']} not answered"
            )
        return Figures(
            it["requests"], it["requests"] / (it["us"] / 1e6), it["p50"] / 1e3, it["p99"] / 1e3, it["max"] / 1e3,
            it["refused"], it["broken"],
        )  # fmt: skip


def _script(load: Load) -> str:
    extra = "".join(f"{name}: {value}\r\n" for name, value in load.headers)
    run = uuid.uuid4()
    given = [
        f"bodies = {{{', '.join(_lua(body.decode()) for body in load.bodies)}}}",
        f"path, run, extra, serial = {_lua(load.path)}, {_lua(run.hex)}, {_lua(extra)}, {_lua(SERIAL)}",
        f"first = {run.int % 10**8}",
    ]
    return "\n".join(given) + _SCRIPT


def _lua(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
