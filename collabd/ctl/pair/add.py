"""`collabctl pair add`: the device's half."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from collabd.ctl.command import Command, Failure
from collabd.ctl.pair.options import DEVICE, command_for, name, places

if TYPE_CHECKING:
    from collabd.config import DeviceConfig
    from collabd.ctl.pair.carried import Carried
    from collabd.ctl.pair.places import Place

# File names by setting. Certificates are public; the other files are secret.
_KEY_FILES = {"token_file": "token", "ca_file": "ca.crt", "client_cert": "client.crt", "client_key": "client.key"}


@click.command(cls=Command)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--name", "called", callback=name, help="The name of the companion here (default: the name in the file).")
@click.option(
    "--replace",
    is_flag=True,
    help="Change the url and keys of the companion if the configuration has one of this name.",
)
@places(DEVICE)
def add(file: str, *, called: str | None, replace: bool, config: Path, keys: Path | None) -> None:
    """On the device: put the keys of FILE in place (-: standard input) and name the companion in the configuration."""
    from collabd.ctl.pair.carried import decode
    from collabd.ctl.pair.places import Place, rewrite, text_of
    from collabd.ctl.pair.settings import changed

    try:
        with click.open_file(file, "rb") as stream:
            carried = decode(stream.read())
    except ValueError as error:
        raise Failure(f"{file}: {error}") from None
    called = called or carried.name
    place = Place(DEVICE, config, keys)
    clouds = _settings(place).clouds
    names = [cloud.name for cloud in clouds]
    if called in names and not replace:
        raise Failure(
            f"{config} already has a companion {called}: change it with --replace, or add this one as --name NAME"
        )
    files = _put(place, called, carried)
    index = names.index(called) if called in names else len(names)
    stale = {key: "" for key in _KEY_FILES if called in names and getattr(clouds[index], key)}
    paths = {key: place.configured(path) for key, path in files.items()}
    values: dict[str, str | bool] = {"name": called, "url": carried.url, **stale, **paths}
    if carried.announced or (called in names and clouds[index].follow):
        values["follow"] = carried.announced
    rewrite(config, changed(text_of(config), "[[clouds]]", values, index=index))
    elsewhere = ", or where it announces itself" if carried.announced else ""
    command = command_for("reload", DEVICE, place)
    click.echo(f"added the companion {called} at {carried.url}{elsewhere}. To use it, run: {command}")
    if file != "-":
        click.echo(f"delete {file}, because it holds the keys")


def _put(place: Place, called: str, carried: Carried) -> dict[str, str]:
    """Write the key files and return their paths by setting."""
    from collabd.ctl.pair.places import PRIVATE, PUBLIC

    contents = (f"{carried.token}\n", carried.ca, carried.client_cert, carried.client_key)
    given = {key: content for key, content in zip(_KEY_FILES, contents, strict=True) if content}
    files = {key: f"{called}/{_KEY_FILES[key]}" for key in given}
    for key, path in files.items():
        place.put(path, given[key].encode(), PUBLIC if path.endswith(".crt") else PRIVATE)
    return files


def _settings(place: Place) -> DeviceConfig:
    from collabd.config import ConfigError, DeviceConfig, load

    try:
        return load(DeviceConfig, place.configuration if place.configuration.exists() else None).config
    except ConfigError as error:
        raise Failure(str(error)) from error
