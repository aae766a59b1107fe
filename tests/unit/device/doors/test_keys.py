"""Which doors may open with which keys."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from collab_sdk.vocabulary import DoorKind
from collabd.config import DeviceConfig, DoorSettings
from collabd.ctl.pair import certificates
from collabd.device.doors.keys import DoorKeys, problems
from collabd.keys.files import KeyProblem
from collabd.keys.tokens import line, new_token


@pytest.fixture
def door(tmp_path: Path) -> DoorSettings:
    """A door for other machines, with all keys."""
    authority = certificates.authority("here")
    pair = certificates.server(authority, "here", ["localhost"])
    contents = {"tokens": line("frigate", new_token()).encode(), "crt": pair.certificate, "key": pair.key}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o400)
    tokens, certificate, key = (str(tmp_path / name) for name in contents)
    return DoorSettings(kind=DoorKind.OIP, listen="0.0.0.0:8000", token_file=tokens, tls_cert=certificate, tls_key=key)


def said(door: DoorSettings, **changes: object) -> list[str]:
    return problems(DeviceConfig(doors=(msgspec.structs.replace(door, **changes),)))


def test_a_door_for_other_machines_needs_a_token_and_tls(door: DoorSettings) -> None:
    assert said(door) == []
    (without_token,) = said(door, token_file="")
    assert "without a token:" in without_token
    (without_both,) = said(door, token_file="", tls_cert="", tls_key="")
    assert "without a token and TLS:" in without_both
    assert said(door, token_file="", tls_cert="", tls_key="", insecure=True) == []
    assert said(door, token_file="", tls_cert="", tls_key="", listen="127.0.0.1:8000") == []


def test_a_door_for_frigates_detector_zmq_has_no_keys(door: DoorSettings) -> None:
    bare = msgspec.structs.replace(door, kind=DoorKind.FRIGATE_ZMQ, token_file="", tls_cert="", tls_key="")
    for near in ("127.0.0.1:5555", "localhost:5555", "ipc:///run/door.sock"):
        assert said(bare, listen=near) == []
    (open_to_all,) = said(bare)
    assert "knows no keys: listen on 127.0.0.1 or at ipc:///PATH (or set insecure = true" in open_to_all
    assert said(bare, insecure=True) == []
    assert said(door, kind=DoorKind.FRIGATE_ZMQ, listen="127.0.0.1:5555") == [
        f"doors[0].{name}: Frigate's detector zmq knows no keys: leave {name} out"
        for name in ("token_file", "tls_cert", "tls_key")
    ]


def test_what_is_half_there_or_unreadable_is_told(door: DoorSettings, tmp_path: Path) -> None:
    assert "need each other" in said(door, tls_key="")[0]
    assert "cannot be read" in said(door, token_file=str(tmp_path / "nowhere"))[0]


def test_administrators_are_owners_of_keys(door: DoorSettings) -> None:
    assert said(door, administrators=("frigate",)) == []
    local = {"token_file": "", "tls_cert": "", "tls_key": "", "listen": "127.0.0.1:8000"}
    assert "set token_file" in said(door, administrators=("frigate",), **local)[0]
    assert "kind oip" in said(door, administrators=("frigate",), kind=DoorKind.DOODS)[0]


def test_only_a_dashboard_shows_pictures(door: DoorSettings) -> None:
    assert said(door, pictures=True) == ["doors[0].pictures: only a door of kind dashboard shows any"]
    assert said(door, pictures=True, kind=DoorKind.DASHBOARD) == []
    assert "without a token and TLS:" in said(door, kind=DoorKind.DASHBOARD, token_file="", tls_cert="", tls_key="")[0]


def test_keys_are_read_anew_and_stay_where_they_cannot_be(door: DoorSettings) -> None:
    keys = DoorKeys(door)
    path, token = Path(door.token_file), new_token()
    path.chmod(0o600)
    path.write_text(line("other", token))
    assert keys.owner(token) is None
    keys.renew()
    assert keys.owner(token) == "other"
    path.write_text("not a line\n")
    with pytest.raises(KeyProblem):
        keys.renew()
    assert keys.owner(token) == "other"


def test_without_keys_nobody_owns_a_token() -> None:
    keys = DoorKeys(DoorSettings(kind=DoorKind.OIP, listen="127.0.0.1:8000"))
    assert not keys.wanted
    assert keys.owner(new_token()) is None
