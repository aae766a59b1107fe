"""Where a lost companion is looked for, and who is taken for it. tests/integration/trust has the certificates."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from typing import cast

import pytest

from collabd.device.companions.connection import Address, CompanionConnection
from collabd.device.companions.place import CompanionPlace
from collabd.device.companions.whereabouts import Whereabouts, addresses
from collabd.discovery.announcement import Announcement

OURS, OTHER = "aa" * 20, "bb" * 20
NETWORK = (IPv4Network("192.0.2.0/24"),)
HERE = Announcement(name="pc", addresses=("192.0.2.9",), port=8471, version="0.1.0", secured=True, authority=OURS)


@dataclass
class Network:
    """What is announced, who answers where, and who was asked. `listening`: how many do."""

    announced: list[Announcement] = field(default_factory=list)
    answers: dict[str, Exception | None] = field(default_factory=dict)
    dialled: list[Address] = field(default_factory=list)
    listening: int = 0
    began: int = 0
    networks: Sequence[IPv4Network] = NETWORK
    broken: str = ""

    async def heard(self) -> list[Announcement]:
        return self.announced

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[Network]:
        if self.broken:
            raise RuntimeError(self.broken)
        self.listening += 1
        self.began += 1
        yield self
        self.listening -= 1

    async def dial(self, address: Address) -> CompanionConnection:
        self.dialled.append(address)
        if (error := self.answers.get(address.host, ConnectionRefusedError())) is not None:
            raise error
        return cast("CompanionConnection", Line())

    def whereabouts(self, place: CompanionPlace) -> Whereabouts:
        return Whereabouts(
            "pc",
            place,
            frozenset({OURS}),
            dial=self.dial,
            listen=self.listen,
            networks=lambda: self.networks,
            answers_s=0.0,
        )


class Line:
    def abort(self) -> None:
        pass


@pytest.fixture
def place() -> CompanionPlace:
    return CompanionPlace("https://192.0.2.2:8470/")


def test_a_place_is_where_the_configuration_says_until_it_is_another(place: CompanionPlace) -> None:
    assert (place.url, place.found_at) == ("https://192.0.2.2:8470", None)
    place.now = Address("2001:db8::9", 8471, tls=True, certified="192.0.2.2")
    assert place.url == place.found_at == "https://[2001:db8::9]:8471"
    assert CompanionPlace("http://pc").home == Address("pc", 80)


async def test_who_proves_itself_is_asked_there_and_home_is_tried_again(place: CompanionPlace) -> None:
    network = Network([HERE], {"192.0.2.9": None})
    whereabouts = network.whereabouts(place)
    assert await whereabouts.look()
    assert place.now == Address("192.0.2.9", 8471, tls=True, certified="192.0.2.2")
    assert whereabouts.found_at == "https://192.0.2.9:8471"
    # It is lost there too. Where it is asked has been tried.
    network.dialled.clear()
    network.answers = {"192.0.2.2": None, "192.0.2.9": None}
    assert await whereabouts.look()
    assert place.now == place.home
    assert whereabouts.found_at is None
    assert [each.host for each in network.dialled] == ["192.0.2.2"]


async def test_it_listens_as_long_as_the_companion_is_lost_and_no_longer(place: CompanionPlace) -> None:
    network = Network()
    whereabouts = network.whereabouts(place)
    for _ in range(3):
        assert not await whereabouts.look()
        assert network.listening == 1
    await whereabouts.rest()
    assert network.listening == 0
    await whereabouts.rest()
    assert not await whereabouts.look()
    assert network.listening == 1
    await whereabouts.rest()


async def test_it_listens_anew_in_the_networks_to_which_the_device_has_moved(place: CompanionPlace) -> None:
    network = Network([replace(HERE, addresses=("198.51.100.9",))], {"198.51.100.9": None}, networks=())
    whereabouts = network.whereabouts(place)
    assert not await whereabouts.look()
    network.networks = (IPv4Network("198.51.100.0/24"),)
    assert await whereabouts.look()
    assert (network.began, network.listening) == (2, 1)
    await whereabouts.rest()


async def test_an_impostor_is_told_of_once_and_does_not_hide_the_companion(
    place: CompanionPlace, caplog: pytest.LogCaptureFixture
) -> None:
    refused = ssl.SSLCertVerificationError(1, "refused")
    refused.verify_message = "certificate signature failure"
    network = Network([replace(HERE, addresses=("192.0.2.66",))], {"192.0.2.66": refused})
    whereabouts = network.whereabouts(place)
    with caplog.at_level(logging.WARNING):
        assert not await whereabouts.look()
        assert not await whereabouts.look()
    assert [each.message for each in caplog.records] == [
        "what answers at 192.0.2.66, port 8471, announces itself as pc and is not: certificate signature failure"
    ]
    network.announced.append(HERE)
    network.answers["192.0.2.9"] = None
    assert await whereabouts.look()
    assert place.now.host == "192.0.2.9"
    await whereabouts.rest()


async def test_strangers_who_announce_much_make_little_work(place: CompanionPlace) -> None:
    each = [tuple(f"192.0.2.{number}" for number in range(first, 200, 8)) for first in range(10, 18)]
    network = Network([replace(HERE, addresses=several) for several in each])
    whereabouts = network.whereabouts(place)
    assert not await whereabouts.look()
    assert len(network.dialled) == 16
    await whereabouts.rest()


async def test_a_machine_that_cannot_listen_still_looks_at_home(
    place: CompanionPlace, caplog: pytest.LogCaptureFixture
) -> None:
    network = Network(broken="no multicast")
    whereabouts = network.whereabouts(place)
    place.now = Address("192.0.2.9", 8471, tls=True, certified="192.0.2.2")
    with caplog.at_level(logging.WARNING):
        assert not await whereabouts.look()
        network.answers = {"192.0.2.2": None}
        assert await whereabouts.look()
    assert place.now == place.home
    assert [each.message for each in caplog.records] == ["cannot look for pc in the local network: no multicast"]


@pytest.mark.parametrize(
    ("announced", "hosts"),
    [
        (HERE, ["192.0.2.9"]),
        (replace(HERE, authority=OTHER), []),
        (replace(HERE, authority=""), []),
        (replace(HERE, secured=False), []),
        (replace(HERE, addresses=("198.51.100.1", "127.0.0.1", "2001:db8::1", "192.0.2.7")), ["192.0.2.7"]),
    ],
    ids=["ours", "of another authority", "of none", "without TLS", "outside of the device's networks"],
)
def test_who_may_be_the_companion(announced: Announcement, hosts: Sequence[str]) -> None:
    found = addresses([announced], frozenset({OURS}), NETWORK)
    assert [each.host for each in found] == hosts
    assert all(each.tls and each.port == 8471 for each in found)
