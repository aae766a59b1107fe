"""Where a companion may listen, and with what."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from collabd.cloud.api.guard import problems, require_token
from collabd.config import CloudConfig, CloudServerSettings
from collabd.ctl.pair import certificates
from collabd.keys.files import KeyProblem
from collabd.keys.tokens import line, new_token

EVERYWHERE = "0.0.0.0"  # noqa: S104


@pytest.fixture
def keys(tmp_path: Path) -> CloudServerSettings:
    authority = certificates.authority("here")
    pair = certificates.server(authority, "here", ["localhost"])
    contents = {"tokens": line("pi", new_token()).encode(), "server.crt": pair.certificate, "server.key": pair.key}
    contents["ca.crt"] = authority.certificate
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o400)
    tokens, certificate, key, authority_file = (str(tmp_path / name) for name in contents)
    return CloudServerSettings(
        host=EVERYWHERE, token_file=tokens, tls_cert=certificate, tls_key=key, client_ca=authority_file
    )


def said(server: CloudServerSettings, **changes: object) -> list[str]:
    return problems(CloudConfig(server=msgspec.structs.replace(server, **changes)))


def test_open_to_others_takes_both_a_token_and_tls(keys: CloudServerSettings) -> None:
    assert said(keys) == []
    for changes, missing in (
        ({"token_file": ""}, "without a token:"),
        ({"tls_cert": "", "tls_key": "", "client_ca": ""}, "without TLS:"),
        ({"token_file": "", "tls_cert": "", "tls_key": "", "client_ca": ""}, "without a token and TLS:"),
    ):
        (problem,) = said(keys, **changes)
        assert missing in problem
        assert "collabctl pair" in problem
        assert said(keys, **changes, insecure=True) == []
        assert said(keys, **changes, host="localhost") == []


def test_halves_are_refused(keys: CloudServerSettings) -> None:
    assert said(keys, tls_key="")[0] == "server: tls_cert and tls_key need each other"
    assert said(keys, tls_cert="", tls_key="")[0] == "server.client_ca: needs tls_cert and tls_key"


def test_all_bad_files_are_told_at_once(keys: CloudServerSettings, tmp_path: Path) -> None:
    found = said(keys, token_file=str(tmp_path / "none"), tls_key=str(tmp_path / "tokens"))
    assert [problem.split(":")[0] for problem in found] == [str(tmp_path / "none"), str(tmp_path / "tokens")]
    # Not even insecure goes on without a file that is named.
    assert said(keys, token_file=str(tmp_path / "none"), insecure=True)


def test_behind_a_server_of_others_a_token_is_needed_wherever_it_listens(keys: CloudServerSettings) -> None:
    require_token(CloudConfig(server=keys))
    require_token(CloudConfig(server=CloudServerSettings(insecure=True)))
    with pytest.raises(KeyProblem, match="token_file"):
        require_token(CloudConfig(server=CloudServerSettings()))
