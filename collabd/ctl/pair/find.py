"""`collabctl pair find`: the companions that announce themselves in the local network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from collabd.ctl.command import Command, Failure
from collabd.ctl.output import emit, fields, json_option, table
from collabd.ctl.pair.options import DEVICE
from collabd.ctl.pair.places import SERVICES

if TYPE_CHECKING:
    from collabd.config import CloudSettings
    from collabd.ctl.tables import Table
    from collabd.discovery.announcement import Announcement

# Companions answer within a second; some networks lose the first question.
_WAIT_S = 3.0
_NONE = """\
none announces itself in this network. Check that
- the companion has announce = true below [server], and was
  restarted since
- both machines are in one network: announcements pass no
  routers, and guest networks often keep machines apart
- no firewall stops UDP port 5353 on either machine"""


class FoundReport(TypedDict):
    """A companion that announces itself. Nobody has checked what it says."""

    name: str
    # In order of preference.
    urls: list[str]
    version: str
    secured: bool
    # Who issued its certificate, by the identifier of the issuer's key; empty without TLS.
    authority: str
    # What this device's configuration calls it; None: this device is not paired with it.
    paired: str | None


class FindReport(TypedDict):
    """All that were found."""

    companions: list[FoundReport]


@click.command(cls=Command)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=SERVICES / f"{DEVICE}.toml",
    help=f"Configuration of {DEVICE}, which says what this device is paired with (default: {SERVICES / DEVICE}.toml).",
)
@json_option
def find(config: Path, as_json: bool) -> None:
    """List the companions that announce themselves in the local network, as heard within three seconds.

    Anyone in the network can announce anything: only the keys that you carry from a companion prove which one it is.
    """
    import asyncio

    from collabd.discovery.package import MISSING, is_installed

    if not is_installed():
        raise Failure(f"pair find {MISSING}")
    clouds = _clouds(config)
    found = [of_companion(each, clouds) for each in asyncio.run(_heard())]
    emit(FindReport(companions=found), _render, as_json=as_json)


def of_companion(said: Announcement, clouds: Sequence[CloudSettings]) -> FoundReport:
    """The report of a companion, for a device that is paired with `clouds`."""
    return FoundReport(
        name=said.name,
        urls=said.urls,
        version=said.version,
        secured=said.secured,
        authority=said.authority,
        paired=next((cloud.name for cloud in clouds if _is_same(cloud, said)), None),
    )


def _is_same(cloud: CloudSettings, said: Announcement) -> bool:
    from collabd.keys.identity import authorities_in

    if not cloud.ca_file:
        return cloud.url.rstrip("/") in said.urls
    try:
        return said.authority in authorities_in(Path(cloud.ca_file).read_bytes())
    except (OSError, ValueError):
        return False


async def _heard() -> list[Announcement]:
    import asyncio

    from collabd.discovery.listener import listening
    from collabd.discovery.multicast import NoMulticast

    try:
        async with listening() as listener:
            await asyncio.sleep(_WAIT_S)
            return await listener.heard()
    except NoMulticast as error:
        raise Failure(f"cannot listen in the local network: {error}") from None


def _clouds(path: Path) -> Sequence[CloudSettings]:
    from collabd.config import ConfigError, DeviceConfig, load

    try:
        return load(DeviceConfig, path).config.clouds if path.exists() else ()
    except ConfigError as error:
        raise Failure(str(error)) from error


def _render(found: FindReport) -> Iterator[Table]:
    if not found["companions"]:
        yield fields({"companions": _NONE})
        return
    built = table("companion", "version", "secured", "paired", "url", long_last=True)
    for each in found["companions"]:
        paired = "no" if each["paired"] is None else f"as {each['paired']}"
        secured = "TLS" if each["secured"] else "no"
        built.add_row(each["name"], each["version"], secured, paired, "\n".join(each["urls"]))
    yield built
