"""What the environment says: where data are kept and which services are used."""

from __future__ import annotations

import getpass
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obligor.core.card_numbers import holds_card_number
from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

_TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
_LEAST_MEMORY_MB = 256


@dataclass(frozen=True, slots=True)
class Settings:
    """One value for all settings; see the reference of configuration."""

    data: Path
    """Where snapshots and the embedded stores live (``OBLIGOR_DATA``, by default ``data``)."""
    mlflow_uri: str
    """The tracking server (``OBLIGOR_MLFLOW_URI``, by default SQLite under ``data``); ``off`` switches tracking off."""
    s3_endpoint: str | None
    """The endpoint of the object store (``OBLIGOR_S3_ENDPOINT``), where it is not Amazon's."""
    memory_mb: int
    """What the bulk engine may take (``OBLIGOR_MEMORY_MB``, by default 1000)."""
    threads: int
    """The threads of the bulk engine (``OBLIGOR_THREADS``, by default 2)."""
    database_url: str | None = field(repr=False)
    """The PostgreSQL of the decision service (``OBLIGOR_DATABASE_URL``); without it an embedded one under ``data``."""
    audit_key: Path
    """The file of the key that signs the audit log (``OBLIGOR_AUDIT_KEY``, by default under ``data``)."""
    data_key: str = ""
    """The master key of personal data (``OBLIGOR_DATA_KEY``): ``aws-kms:<key>``, ``vault:<key>``, or a file (the default)."""

    @property
    def postgres(self) -> Path:
        """Where the embedded PostgreSQL keeps its files."""
        return self.data / "postgres"

    @property
    def snapshots(self) -> Path:
        """Where raw snapshots are kept."""
        return self.data / "raw"

    @property
    def work(self) -> Path:
        """Where the bulk engine keeps its passing files."""
        return self.data / "processed"


@dataclass(frozen=True, slots=True)
class AnchorSettings:
    """Where checkpoints of the audit log are kept outside the store."""

    places: tuple[str, ...]
    """Folders (absolute), ``s3://`` and ``https://`` addresses (``OBLIGOR_ANCHORS``, by default ``anchors`` in the data)."""
    every_s: int
    """The seconds between checkpoints (``OBLIGOR_ANCHOR_SECONDS``, by default 10)."""
    retain_days: int
    """For how many days an object store may not give a checkpoint up (``OBLIGOR_ANCHOR_RETAIN_DAYS``, by default 1096)."""
    production: bool
    """Whether this is no trial (``OBLIGOR_ENV``): then anchors by HTTPS have public addresses."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """The identity provider whose tokens are taken."""

    issuer: str
    """As its tokens name it (``OBLIGOR_OIDC_ISSUER``)."""
    audience: str
    """As its tokens name this service (``OBLIGOR_OIDC_AUDIENCE``)."""
    key_set_url: str = field(repr=False)
    """Where its keys are (``OBLIGOR_OIDC_JWKS_URL``)."""
    types: frozenset[str]
    """What ``typ`` of a token may be (``OBLIGOR_OIDC_TYPES``, by default ``at+jwt``)."""
    roles_claim: str
    """Where its tokens name roles (``OBLIGOR_OIDC_ROLES_CLAIM``, by default ``roles``); a dot goes into an object."""
    strong: frozenset[str]
    """Which ``acr`` tell of a second factor (``OBLIGOR_OIDC_STRONG_ACR``, by default none)."""
    most_minutes: int
    """For how long its tokens may be made out (``OBLIGOR_OIDC_MOST_MINUTES``, by default 10)."""
    bound: bool
    """Whether its tokens must be bound to a key of who they were given to (``OBLIGOR_OIDC_BOUND``, by default no)."""
    origin: str
    """Scheme and host by which clients reach the service, which their proofs name (``OBLIGOR_ORIGIN``, by default empty)."""


def read_provider_settings(environ: Mapping[str, str]) -> ProviderSettings | None:
    """Read what the environment says of an identity provider; None where it names none."""
    needed = ("OBLIGOR_OIDC_ISSUER", "OBLIGOR_OIDC_AUDIENCE", "OBLIGOR_OIDC_JWKS_URL")
    said = {name: environ.get(name, "").strip() for name in needed}
    if not any(said.values()):
        return None
    for name, value in said.items():
        if not value:
            raise InvalidInputError(f"{name}: is absent; wanted all of {', '.join(needed)}, or none")
    return ProviderSettings(
        issuer=said["OBLIGOR_OIDC_ISSUER"],
        audience=said["OBLIGOR_OIDC_AUDIENCE"],
        key_set_url=said["OBLIGOR_OIDC_JWKS_URL"],
        types=_listed(environ, "OBLIGOR_OIDC_TYPES", default="at+jwt"),
        roles_claim=environ.get("OBLIGOR_OIDC_ROLES_CLAIM", "roles"),
        strong=_listed(environ, "OBLIGOR_OIDC_STRONG_ACR", default=""),
        most_minutes=_whole(environ, "OBLIGOR_OIDC_MOST_MINUTES", default=10, least=1),
        bound=_yes(environ, "OBLIGOR_OIDC_BOUND"),
        origin=_origin(environ.get("OBLIGOR_ORIGIN", "").strip()),
    )


def _origin(said: str) -> str:
    parts = urlsplit(said)
    if said and (
        parts.scheme not in ("http", "https") or not parts.hostname or said != f"{parts.scheme}://{parts.netloc}"
    ):
        raise InvalidInputError(
            "OBLIGOR_ORIGIN: wanted a scheme and a host alone, such as https://decisions.bank.example"
        )
    return said


def _yes(environ: Mapping[str, str], name: str) -> bool:
    said = environ.get(name, "no")
    if said not in ("yes", "no"):
        raise InvalidInputError(f"{name}: got '{said}', wanted yes or no")
    return said == "yes"


def _listed(environ: Mapping[str, str], name: str, *, default: str) -> frozenset[str]:
    return frozenset(it for each in environ.get(name, default).split(",") if (it := each.strip()))


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Who answers for the gates of the compliance profile."""

    kyc: str | None
    """An ``https://`` address, or the path of a file of evidence (``OBLIGOR_KYC``); none: nobody."""
    kyc_token: str = field(repr=False)
    """What the provider knows us by (``OBLIGOR_KYC_TOKEN``)."""
    kyc_subject: Mapping[str, str]
    """The columns of the four elements of an identity, and of the evidence brought (``OBLIGOR_KYC_SUBJECT``); none: the fields
    that every application may have of its applicant."""
    aml_subject: Mapping[str, str]
    """The columns of what is screened (``OBLIGOR_AML_SUBJECT``): name, aliases, date_of_birth, number; likewise."""
    aml_max_age_days: int
    """How old a list may be (``OBLIGOR_AML_MAX_AGE_DAYS``, by default 10)."""
    deadline_s: float
    """For how long a decision waits for its gates (``OBLIGOR_GATE_MS``, by default 300)."""

    @property
    def provider_s(self) -> float:
        """For how long a gate waits for its provider: a little less, so that it can still say that nobody answered."""
        return self.deadline_s * 5 / 6


def read_gate_settings(environ: Mapping[str, str]) -> GateSettings:
    """Read what the environment says of gates."""
    return GateSettings(
        kyc=environ.get("OBLIGOR_KYC") or None,
        kyc_token=environ.get("OBLIGOR_KYC_TOKEN", ""),
        kyc_subject=_columns(
            environ, "OBLIGOR_KYC_SUBJECT", ("name", "date_of_birth", "address", "id_number", "evidence")
        ),
        aml_subject=_columns(environ, "OBLIGOR_AML_SUBJECT", ("name", "aliases", "date_of_birth", "number")),
        aml_max_age_days=_whole(environ, "OBLIGOR_AML_MAX_AGE_DAYS", default=10, least=1),
        deadline_s=_whole(environ, "OBLIGOR_GATE_MS", default=300, least=1) / 1000,
    )


def _columns(environ: Mapping[str, str], name: str, known: tuple[str, ...]) -> dict[str, str]:
    pairs = [it.partition("=") for it in environ.get(name, "").split(",") if it.strip()]
    found = {said.strip(): column.strip() for said, _, column in pairs}
    if not all(parted and column.strip() for _, parted, column in pairs) or not found.keys() <= set(known):
        raise InvalidInputError(f"{name}: wanted {','.join(f'{it}=COLUMN' for it in known)}, or some of them")
    return found


@dataclass(frozen=True, slots=True)
class ProbingSettings:
    """How often one person may be decided on, and how many applications of one client may be alike; 0 lifts a limit."""

    subject_daily: int
    """Decisions and simulations of one person (``OBLIGOR_SUBJECT_DAILY``, by default 50)."""
    alike_hourly: int
    """Applications of one client that are alike (``OBLIGOR_ALIKE_HOURLY``, by default 1000)."""


def read_probing_settings(environ: Mapping[str, str]) -> ProbingSettings:
    """Read what the environment says of who tries too much."""
    return ProbingSettings(
        subject_daily=_whole(environ, "OBLIGOR_SUBJECT_DAILY", default=50, least=0),
        alike_hourly=_whole(environ, "OBLIGOR_ALIKE_HOURLY", default=1000, least=0),
    )


MOST_PERSON_DAILY = 50
"""Links are looked for among the last 64 that are alike."""


def read_person_daily(environ: Mapping[str, str]) -> int:
    """Read how many applications of one person within a day are not linked for it (``OBLIGOR_LINK_PERSON_DAILY``); 0: any."""
    most = _whole(environ, "OBLIGOR_LINK_PERSON_DAILY", default=2, least=0)
    if most > MOST_PERSON_DAILY:
        raise InvalidInputError(f"OBLIGOR_LINK_PERSON_DAILY: got {most}, wanted at most {MOST_PERSON_DAILY}")
    return most


@dataclass(frozen=True, slots=True)
class LawSettings:
    """What of the law binds this lender, and what its notices are written with."""

    packs: tuple[str, ...]
    """The rule packs that are active (``OBLIGOR_PACKS``, by default none)."""
    notices: Path
    """The folder with particulars and approvals of notices (``OBLIGOR_NOTICES``, by default ``notices`` in the data)."""


def read_law_settings(environ: Mapping[str, str]) -> LawSettings:
    """Read what the environment says of rule packs and notices."""
    packs = tuple(it for each in environ.get("OBLIGOR_PACKS", "").split(",") if (it := each.strip()))
    named = environ.get("OBLIGOR_NOTICES")
    return LawSettings(packs, Path(named) if named else Path(environ.get("OBLIGOR_DATA", "data")) / "notices")


def read_anchor_settings(environ: Mapping[str, str]) -> AnchorSettings:
    """Read what the environment says of anchors."""
    said = environ.get("OBLIGOR_ANCHORS")
    data = Path(environ.get("OBLIGOR_DATA", "data")).absolute()
    return AnchorSettings(
        places=(str(data / "anchors"),) if said is None else _places(said),
        every_s=_whole(environ, "OBLIGOR_ANCHOR_SECONDS", default=10, least=1),
        retain_days=_whole(environ, "OBLIGOR_ANCHOR_RETAIN_DAYS", default=1096, least=1),
        production=is_production(environ),
    )


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How both doors are encrypted; nothing of it where a proxy does that, or nothing is at stake."""

    cert: Path | None
    """The certificate, with those that lead to its root (``OBLIGOR_TLS_CERT``)."""
    key: Path | None
    """Its private key (``OBLIGOR_TLS_KEY``)."""
    client_ca: Path | None
    """Whose certificates a client must show one of (``OBLIGOR_TLS_CLIENT_CA``); without it none is asked for."""


def read_tls_settings(environ: Mapping[str, str]) -> TlsSettings:
    """Read how the doors are encrypted.

    Raises
    ------
    InvalidInputError
        Where only half of it is said; in production where nothing is, unless a proxy is declared.
    """
    cert, key, client_ca = (
        Path(said) if (said := environ.get(name)) else None
        for name in ("OBLIGOR_TLS_CERT", "OBLIGOR_TLS_KEY", "OBLIGOR_TLS_CLIENT_CA")
    )
    if (cert is None) != (key is None):
        raise InvalidInputError("OBLIGOR_TLS_CERT and OBLIGOR_TLS_KEY: got one of them; wanted both or neither")
    if client_ca is not None and cert is None:
        raise InvalidInputError("OBLIGOR_TLS_CLIENT_CA: asks for certificates; wanted OBLIGOR_TLS_CERT with it")
    for path in (cert, key, client_ca):
        if path is not None and not path.is_file():
            raise InvalidInputError(f"{path}: there is no such file; wanted one in PEM")
    if cert is None and not _yes(environ, "OBLIGOR_BEHIND_PROXY") and is_production(environ):
        raise InvalidInputError(
            "OBLIGOR_TLS_CERT: in production the doors are not opened in plain text",
            hint="OBLIGOR_BEHIND_PROXY=yes where a proxy on this machine, or a mesh, does the encryption",
        )
    return TlsSettings(cert, key, client_ca)


def is_production(environ: Mapping[str, str]) -> bool:
    """Tell whether this is no trial (``OBLIGOR_ENV``, by default ``development``)."""
    said = environ.get("OBLIGOR_ENV", "development")
    if said not in ("development", "production"):
        raise InvalidInputError(f"OBLIGOR_ENV: got '{said}', wanted development or production")
    return said == "production"


def _places(said: str) -> tuple[str, ...]:
    """Take apart a list of places; an address is never repeated, for it may hold a token."""
    if said.strip() == "off":
        return ()
    places = tuple(_place(each.strip(), number) for number, each in enumerate(said.split(","), start=1))
    if len(set(places)) != len(places):
        raise InvalidInputError("OBLIGOR_ANCHORS: names a place twice")
    return places


def _place(said: str, number: int) -> str:
    scheme, parted, rest = said.partition("://")
    if not said:
        raise InvalidInputError(f"OBLIGOR_ANCHORS: place {number} is empty", hint="off says that there are none")
    if not parted:
        return str(Path(said).absolute())
    if scheme == "file":
        if not rest.startswith("/"):
            raise InvalidInputError(f"OBLIGOR_ANCHORS: place {number}: wanted file:///path, with the whole path")
        return rest
    if scheme not in ("s3", "https", "http"):
        raise InvalidInputError(
            f"OBLIGOR_ANCHORS: place {number} begins with {scheme}://; wanted a folder, file://, s3:// or https://"
        )
    return said


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from the environment."""
    data = Path(environ.get("OBLIGOR_DATA", "data")).absolute()
    return Settings(
        data=data,
        mlflow_uri=environ.get("OBLIGOR_MLFLOW_URI", f"sqlite:///{data / 'mlflow.db'}"),
        s3_endpoint=environ.get("OBLIGOR_S3_ENDPOINT"),
        memory_mb=_whole(environ, "OBLIGOR_MEMORY_MB", default=1000, least=_LEAST_MEMORY_MB),
        threads=_whole(environ, "OBLIGOR_THREADS", default=2, least=1),
        database_url=environ.get("OBLIGOR_DATABASE_URL") or None,
        audit_key=Path(environ.get("OBLIGOR_AUDIT_KEY") or data / "keys" / "audit-ed25519.pem").absolute(),
        data_key=environ.get("OBLIGOR_DATA_KEY") or str(data / "keys" / "data-master.key"),
    )


def read_held_days(environ: Mapping[str, str]) -> int:
    """Give for how many days an application may be held before somebody is called (``OBLIGOR_HELD_DAYS``)."""
    return _whole(environ, "OBLIGOR_HELD_DAYS", default=3, least=0)


def read_retain_days(environ: Mapping[str, str]) -> int:
    """Give for how many days after a decision its records are kept whatever the applicant asks (``OBLIGOR_RETAIN_DAYS``).

    By default 762: the 25 months of Regulation B, 12 CFR 1002.12(b), at their longest.
    """
    return _whole(environ, "OBLIGOR_RETAIN_DAYS", default=762, least=0)


def read_event_days(environ: Mapping[str, str]) -> int:
    """Give for how many days events are kept that are over, or were not tried (``OBLIGOR_EVENT_DAYS``)."""
    return _whole(environ, "OBLIGOR_EVENT_DAYS", default=90, least=1)


def read_author(environ: Mapping[str, str]) -> str:
    """Name the person at work (``OBLIGOR_AUTHOR``), or the user of the machine; empty where neither is known.

    Raises
    ------
    InvalidInputError
        Where it holds the number of a payment card, which would stand in the log for ever.
    """
    said = environ.get("OBLIGOR_AUTHOR", "").strip()
    if holds_card_number(said):
        raise InvalidInputError("OBLIGOR_AUTHOR: holds the number of a payment card, or what could be one")
    if said:
        return said
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without an entry, as in some containers
        return ""


def switch_telemetry_off(environ: MutableMapping[str, str]) -> None:
    """Tell every dependency that would phone home not to."""
    environ.update(_TELEMETRY_OFF)


def _whole(environ: Mapping[str, str], name: str, *, default: int, least: int) -> int:
    text = environ.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise InvalidInputError(f"{name}: got '{text}', wanted a whole number of at least {least}")
    return int(text)
