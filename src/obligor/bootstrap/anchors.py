"""Anchors out of settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from obligor.core.errors import UnavailableError

if TYPE_CHECKING:
    from obligor.serving.anchoring import Anchor
    from obligor.settings import AnchorSettings


def open_anchors(settings: AnchorSettings, *, s3_endpoint: str | None) -> tuple[Anchor, ...]:
    """Open the anchors that are set; none of them is reached yet.

    Raises
    ------
    InvalidInputError
        Where an address is none.
    UnavailableError
        Where a driver is not installed.
    """
    return tuple(_open(place, settings, s3_endpoint) for place in settings.places)


def _open(place: str, settings: AnchorSettings, s3_endpoint: str | None) -> Anchor:
    scheme = place.partition("://")[0] if "://" in place else "file"
    try:
        if scheme == "s3":
            from obligor.adapters.anchors.s3 import S3Anchor

            return S3Anchor(place, retain_days=settings.retain_days, endpoint=s3_endpoint)
        if scheme in ("https", "http"):
            from obligor.adapters.anchors.webhook import WebhookAnchor

            return WebhookAnchor(place, production=settings.production)
    except ImportError as error:
        extra = "s3" if scheme == "s3" else "serve"
        raise UnavailableError(f"an anchor at {scheme}:// needs a driver", hint=f"install obligor[{extra}]") from error
    from obligor.adapters.anchors.file import FileAnchor

    return FileAnchor(Path(place))
