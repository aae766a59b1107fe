"""Certificates of the configuration: read by another process, and judged by the clock."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from collabd.ctl.pair import certificates
from collabd.health.certificates import CertificateSense, expiries_of
from collabd.health.conditions import Code

_DAY_S = 86400.0
_VALID_DAYS = 3652


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "ca.crt"
    path.write_bytes(certificates.authority("here").certificate)
    return path


@pytest.mark.parametrize(
    ("days", "codes"),
    [
        (0, []),
        (_VALID_DAYS - 32, []),
        (_VALID_DAYS - 28, [Code.CERTIFICATE_EXPIRING]),
        (_VALID_DAYS + 2, [Code.CERTIFICATE_EXPIRED]),
    ],
)
def test_a_certificate_is_told_of_thirty_days_before_its_end(certificate: Path, days: int, codes: list[Code]) -> None:
    sense = CertificateSense(lambda: [str(certificate), ""], wall=lambda: time.time() + days * _DAY_S)
    seen = list(sense())
    assert [each.code for each in seen] == codes
    assert all(each.about == str(certificate) and str(certificate) in each.what for each in seen)


def test_without_certificates_nothing_is_read() -> None:
    assert list(CertificateSense(lambda: ["", ""])()) == []


def test_files_are_read_again_after_a_day_and_when_others_are_named(tmp_path: Path, certificate: Path) -> None:
    path, later_s = tmp_path / "own.crt", _VALID_DAYS * _DAY_S - _DAY_S
    path.write_text("no certificate")
    named = [str(path)]
    sense = CertificateSense(lambda: named, wall=lambda: time.time() + later_s)
    assert list(sense()) == []
    path.write_bytes(certificate.read_bytes())
    assert list(sense()) == []
    later_s += _DAY_S + 3600.0
    assert [each.about for each in sense()] == [str(path)]
    named.append(str(certificate))
    assert {each.about for each in sense()} == {str(path), str(certificate)}


def test_what_is_no_certificate_is_left_out(tmp_path: Path, certificate: Path) -> None:
    (tmp_path / "text").write_text("nothing of the kind")
    found = expiries_of([str(tmp_path / "text"), str(tmp_path / "absent"), str(certificate)])
    assert list(found) == [str(certificate)]
