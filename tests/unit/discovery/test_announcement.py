"""What is announced, and what is believed of what anyone may announce."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collabd.discovery.announcement import Announcement, believed, in_order

SAID = Announcement(
    name="pc", addresses=("192.0.2.1", "2001:db8::1"), port=8470, version="0.1.0", secured=True, authority="ab" * 20
)


def heard(
    addresses: tuple[str, ...] = SAID.addresses, port: int | None = 8470, other: dict[str, bytes | None] | None = None
) -> Announcement | None:
    """What is believed of the announcement, with other values in its text."""
    text: dict[bytes, bytes | None] = {key.encode(): value.encode() for key, value in SAID.text().items()}
    return believed(text | {key.encode(): value for key, value in (other or {}).items()}, addresses, port)


def test_what_is_said_is_heard() -> None:
    assert heard() == SAID
    assert SAID.urls == ["https://192.0.2.1:8470", "https://[2001:db8::1]:8470"]


def test_no_value_of_the_text_is_longer_than_dns_allows() -> None:
    longest = Announcement(name="n" * 64, addresses=(), port=1, version="v" * 32, secured=True, authority="ab" * 64)
    assert max(len(f"{key}={value}") for key, value in longest.text().items()) < 255


@pytest.mark.parametrize(
    "other",
    [
        {"txtvers": b"2"},
        {"txtvers": None},
        {"name": b"../x"},
        {"name": b"pc\x1b[2J"},
        {"name": b"\xff"},
        {"name": b""},
        {"name": b"n" * 65},
        {"version": b"1\n2"},
        {"ca": b"AB" * 20},
        {"ca": b"ab"},
    ],
)
def test_what_is_out_of_form_is_not_believed(other: dict[str, bytes | None]) -> None:
    assert heard(other=other) is None


def test_without_a_port_or_an_address_of_use_it_is_no_announcement() -> None:
    assert heard(port=None) is None
    assert heard(port=0) is None
    assert heard(("127.0.0.1", "::1", "fe80::1", "fe80::1%eth0", "224.0.0.251", "0.0.0.0", "nonsense")) is None  # noqa: S104


def test_addresses_without_end_have_an_end() -> None:
    found = heard(tuple(f"192.0.2.{number}" for number in range(200)))
    assert found is not None
    assert len(found.addresses) == 16


def test_without_tls_there_is_no_authority() -> None:
    found = heard(other={"tls": b"0", "ca": b""})
    assert found is not None
    assert (found.secured, found.urls[0]) == (False, "http://192.0.2.1:8470")


def test_addresses_that_people_can_type_come_first() -> None:
    assert in_order(["2001:db8::1", "192.0.2.10", "192.0.2.9"]) == ("192.0.2.9", "192.0.2.10", "2001:db8::1")


@given(
    st.dictionaries(st.binary(max_size=12), st.none() | st.binary(max_size=80), max_size=8),
    st.lists(st.text(max_size=45) | st.ip_addresses().map(str), max_size=20),
    st.none() | st.integers(0, 65535),
)
def test_no_text_breaks_anything(text: dict[bytes, bytes | None], addresses: list[str], port: int | None) -> None:
    said: dict[bytes, bytes | None] = {key.encode(): value.encode() for key, value in SAID.text().items()}
    found = believed(said | text, addresses, port)
    assert found is None or found.name.isprintable()
