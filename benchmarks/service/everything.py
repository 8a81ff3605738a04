"""A lender with everything on: tokens of an identity provider, sealed personal fields, enforced gates, and webhooks.

The applicants are so many that repeat, so that a screening is mostly found among those that were done. The list has twenty
thousand invented names, and some applicants bear one of them.
"""

from __future__ import annotations

import csv
import hashlib
import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np
from joserfc import jwt
from joserfc.jwk import RSAKey

from benchmarks.service.lender import applications
from benchmarks.service.servers import HOST, free_port
from benchmarks.service.wrk import SERIAL
from obligor.core.columns import Column, Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENT = "lender"
PEOPLE, LISTED, ON_THE_LIST = 512, 20_000, 5
"""Applicants, names of the list, and applicants who are on it."""
IDENTIFIERS = {
    "customer_id": Column(type="text", role=(Role.IDENTIFIER,), privacy="direct", required=True),
    "application_id": Column(type="text", role=(Role.IDENTIFIER,), privacy="direct", required=True, unique=True),
}
FIELDS = (
    "customer_id", "application_id", "applicant_name", "applicant_birth_date", "applicant_number", "applicant_address",
    "applicant_id_number",
)  # fmt: skip
"""What an application has beside what is scored."""
_ISSUER, _AUDIENCE, _KID = "https://id.lender.example", "obligor", "signing-1"
_CONSONANTS, _VOWELS = "bdfghklmnprstvz", "aeiou"
_TOKEN_S = 600


@cache
def people() -> tuple[dict[str, str], ...]:
    """Make the applicants up; some bear a name of the list, with its birth date."""
    random = np.random.default_rng(11)
    listed = _listed()[:ON_THE_LIST]
    names = [*listed, *((_name(random), _born(random)) for _ in range(PEOPLE - len(listed)))]
    return tuple(
        {
            "customer_id": f"C-{at}",
            "applicant_name": name,
            "applicant_birth_date": born,
            "applicant_number": f"C-{at}",
            "applicant_address": f"{at} {name.split()[1]} Street",
            "applicant_id_number": f"P{at}",
        }
        for at, (name, born) in enumerate(names)
    )


@cache
def bodies() -> tuple[bytes, ...]:
    """Give applications of all these people as bodies of requests, each with an id of its own."""
    plain = applications(PEOPLE)
    return tuple(
        json.dumps(it | {"application_id": f"A-{SERIAL}"} | person, separators=(",", ":")).encode()
        for it, person in zip(plain, people(), strict=True)
    )


def write_profile(file: Path) -> Path:
    """Write a profile that enforces every gate."""
    gates = {
        "kyc": {"state": "enforce", "on_fail": "decline", "reason": "Unable to verify identity"},
        "aml": {"state": "enforce", "on_fail": "refer"},
        "pci": {"state": "enforce"},
    }
    plain = {"name": "everything", "version": 1, "effective_from": "2026-01-01T00:00:00Z", "gates": gates}
    file.write_text(json.dumps(plain))
    return file


def write_evidence(file: Path) -> Path:
    """Write evidence of the identity of every applicant."""
    now = datetime.now(UTC)
    whole = [
        {
            "status": "verified",
            "name": it["applicant_name"],
            "date_of_birth": it["applicant_birth_date"],
            "address": it["applicant_address"],
            "id_number_sha256": hashlib.sha256(it["applicant_id_number"].encode()).hexdigest(),
            "method": "passport",
            "evidence_id": f"e-{at}",
            "verifier": "verifier/1",
            "verified_at": (now - timedelta(days=1)).isoformat(),
            "expires_at": (now + timedelta(days=30)).isoformat(),
        }
        for at, it in enumerate(people())
    ]
    file.write_text(json.dumps(whole))
    return file


def write_list(folder: Path) -> Path:
    """Write a list of sanctions in the form of OFAC's tables."""
    folder.mkdir()
    with (folder / "sdn.csv").open("w", newline="", encoding="ascii") as file:
        lines = csv.writer(file, lineterminator="\r\n")
        for at, (name, born) in enumerate(_listed()):
            first, last = name.split()
            day = datetime.fromisoformat(born).strftime("%d %b %Y")
            lines.writerow(
                [1000 + at, f"{last.upper()}, {first}", "individual", "INVENTED", *["-0- "] * 7, f"DOB {day}."]
            )
    (folder / "alt.csv").write_text("")
    return folder


class Provider:
    """An identity provider of one key, which it serves, and whose tokens it makes out."""

    def __init__(self) -> None:
        self.port = free_port()
        self._key = RSAKey.generate_key(2048, {"kid": _KID, "use": "sig", "alg": "RS256"})

    @property
    def settings(self) -> dict[str, str]:
        """What a service is told of it."""
        return {
            "OBLIGOR_OIDC_ISSUER": _ISSUER,
            "OBLIGOR_OIDC_AUDIENCE": _AUDIENCE,
            "OBLIGOR_OIDC_JWKS_URL": f"http://{HOST}:{self.port}/keys",
        }

    def token(self) -> str:
        """Make out a token for the lender's own system, which opens for ten minutes."""
        now = int(time.time())
        claims = {"iss": _ISSUER, "aud": _AUDIENCE, "sub": "s-1", "client_id": CLIENT, "roles": ["los"], "iat": now}
        head = {"alg": "RS256", "kid": _KID, "typ": "at+jwt"}
        return jwt.encode(head, claims | {"exp": now + _TOKEN_S}, self._key, algorithms=["RS256"])

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve the key set."""
        said = json.dumps({"keys": [self._key.as_dict(private=False)]}).encode()

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer((HOST, self.port), Answers)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()


@cache
def _listed() -> tuple[tuple[str, str], ...]:
    random = np.random.default_rng(5)
    return tuple((_name(random), _born(random)) for _ in range(LISTED))


def _name(random: np.random.Generator) -> str:
    return " ".join(_part(random, syllables) for syllables in (3, 4))


def _part(random: np.random.Generator, syllables: int) -> str:
    return "".join(
        _CONSONANTS[random.integers(len(_CONSONANTS))] + _VOWELS[random.integers(len(_VOWELS))]
        for _ in range(syllables)
    ).title()


def _born(random: np.random.Generator) -> str:
    return (datetime(1950, 1, 1, tzinfo=UTC) + timedelta(days=int(random.integers(18_000)))).date().isoformat()
