from __future__ import annotations

from pathlib import Path

import pytest

from obligor.bootstrap.anchors import open_anchors
from obligor.core.errors import InvalidInputError
from obligor.settings import read_anchor_settings


def _names(**environ: str) -> list[str]:
    anchors = open_anchors(read_anchor_settings(environ), s3_endpoint=None)
    for anchor in anchors:
        anchor.close()
    return [anchor.name for anchor in anchors]


def test_without_a_word_checkpoints_go_to_a_folder_beside_the_data() -> None:
    settings = read_anchor_settings({"OBLIGOR_DATA": "/srv/obligor"})
    assert settings.places == ("/srv/obligor/anchors",)
    assert (settings.every_s, settings.retain_days, settings.production) == (10, 1096, False)


def test_every_kind_of_anchor_is_opened_by_its_address() -> None:
    places = (
        f"  {Path.cwd()}/here, there,file:///mnt/worm ,s3://bank-anchors/obligor,https://siem.example/in?token=hush"
    )
    folders, rest = _names(OBLIGOR_ANCHORS=places)[:4], _names(OBLIGOR_ANCHORS=places)[4:]
    assert folders == [
        f"file://{Path.cwd()}/here",
        f"file://{Path.cwd()}/there",
        "file:///mnt/worm",
        "s3://bank-anchors/obligor",
    ]
    assert [name.partition("#")[0] for name in rest] == ["https://siem.example"]


def test_a_lender_may_say_that_there_are_no_anchors() -> None:
    assert _names(OBLIGOR_ANCHORS="off") == []


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"OBLIGOR_ANCHORS": ""}, "place 1 is empty"),
        ({"OBLIGOR_ANCHORS": "a,,b"}, "place 2 is empty"),
        ({"OBLIGOR_ANCHORS": "a, a"}, "names a place twice"),
        ({"OBLIGOR_ANCHORS": "file://relative/hush"}, "wanted file:///path"),
        (
            {"OBLIGOR_ANCHORS": "a,ftp://hush"},
            r"place 2 begins with ftp://; wanted a folder, file://, s3:// or https://",
        ),
        ({"OBLIGOR_ANCHORS": "s3://key:hush@bucket"}, "wanted s3://bucket/prefix"),
        ({"OBLIGOR_ANCHORS": "http://siem.example/hush"}, "wanted https://host/path"),
        ({"OBLIGOR_ANCHORS": "http://localhost/hush", "OBLIGOR_ENV": "production"}, "wanted https://host/path"),
        ({"OBLIGOR_ENV": "prod"}, "got 'prod', wanted development or production"),
        ({"OBLIGOR_ANCHOR_SECONDS": "0"}, "a whole number of at least 1"),
        ({"OBLIGOR_ANCHOR_RETAIN_DAYS": "x"}, "a whole number of at least 1"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_told_and_no_secret_of_it(environ: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told) as refused:
        _names(**environ)
    assert "hush" not in str(refused.value)
