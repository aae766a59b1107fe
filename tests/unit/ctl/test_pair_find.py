"""`collabctl pair find`: what it makes of announcements. tests/system finds companions in real networks."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from collabd.config import CloudSettings
from collabd.ctl.output import emit
from collabd.ctl.pair import certificates
from collabd.ctl.pair.find import FindReport, _render, of_companion
from collabd.discovery.announcement import Announcement
from collabd.keys.identity import authority_of


@pytest.fixture(scope="module")
def issuer() -> certificates.Pair:
    return certificates.authority("pc")


@pytest.fixture
def said(issuer: certificates.Pair) -> Announcement:
    return Announcement(
        name="workshop",
        addresses=("192.168.100.200", "2001:db8:1234:5678:9abc:def0:1234:5678"),
        port=8470,
        version="0.1.0",
        secured=True,
        authority=authority_of(certificates.server(issuer, "workshop", ["h"]).certificate),
    )


def cloud(folder: Path, ca: bytes, url: str = "https://192.0.2.1:8470") -> CloudSettings:
    path = folder / "ca.crt"
    path.write_bytes(ca)
    return CloudSettings(name="pc", url=url, ca_file=str(path))


def test_it_is_recognised_by_its_authority_wherever_it_is(
    tmp_path: Path, said: Announcement, issuer: certificates.Pair
) -> None:
    assert of_companion(said, [cloud(tmp_path, issuer.certificate)])["paired"] == "pc"
    other = cloud(tmp_path, certificates.authority("pc").certificate, said.urls[0])
    assert of_companion(said, [other])["paired"] is None


def test_without_an_authority_it_is_recognised_by_its_address(said: Announcement) -> None:
    assert of_companion(said, [CloudSettings(name="pc", url=f"{said.urls[0]}/")])["paired"] == "pc"
    assert of_companion(said, [])["paired"] is None


def test_a_key_file_that_cannot_be_read_is_of_no_companion(tmp_path: Path, said: Announcement) -> None:
    assert of_companion(said, [cloud(tmp_path, b"nothing")])["paired"] is None
    (tmp_path / "ca.crt").unlink()
    gone = CloudSettings(name="pc", url="https://h", ca_file=str(tmp_path / "ca.crt"))
    assert of_companion(said, [gone])["paired"] is None


def printed(report: FindReport, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", "80")
    lines = CliRunner().invoke(click.command()(lambda: emit(report, _render, as_json=False))).output.splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def test_all_is_seen_in_80_columns(
    tmp_path: Path, said: Announcement, issuer: certificates.Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = of_companion(said, [cloud(tmp_path, issuer.certificate)])
    lines = printed(FindReport(companions=[found]), monkeypatch)
    # The long address does not fit beside the rest.
    assert [line.split() for line in lines[1:]] == [
        ["workshop", "0.1.0", "TLS", "as", "pc"],
        ["https://192.168.100.200:8470"],
        ["https://[2001:db8:1234:5678:9abc:def0:1234:5678]:8470"],
    ]


def test_nothing_found_says_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    said = " ".join(" ".join(line.split()) for line in printed(FindReport(companions=[]), monkeypatch))
    for thing in ("announce = true below [server]", "restarted since", "one network", "UDP port 5353"):
        assert thing in said
