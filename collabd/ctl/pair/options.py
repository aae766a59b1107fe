"""Options and helpers that the commands of `pair` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collabd.ctl.command import Failure
from collabd.ctl.pair.places import SERVICES, Place

if TYPE_CHECKING:
    from collabd.config import CloudServerSettings

DEVICE, COMPANION = "collabd", "collab-cloudd"
_PATH = click.Path(path_type=Path)


def places(daemon: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--config and --keys of `daemon`."""
    default = SERVICES / f"{daemon}.toml"

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        keys = click.option(
            "--keys", type=_PATH, help=f"Folder of the keys (default: keys/{daemon} beside the configuration)."
        )
        return click.option(
            "--config", type=_PATH, default=default, help=f"Configuration file of {daemon} (default: {default})."
        )(keys(function))

    return decorate


def name(_: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """A name that is valid in configuration files and as a file name."""
    import re

    if text is None or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        return text
    raise click.BadParameter(f"{text!r}: a name has only letters, digits and . _ -", param=parameter)


def server_of(place: Place) -> CloudServerSettings:
    """The companion's settings as they are. Raises `Failure`."""
    from collabd.config import CloudConfig, ConfigError, load

    try:
        return load(CloudConfig, place.configuration if place.configuration.exists() else None).config.server
    except ConfigError as error:
        raise Failure(str(error)) from error


def command_for(verb: str, daemon: str, place: Place) -> str:
    """The command that makes the daemon use the new keys."""
    if place.configuration.parent == SERVICES:
        return f"sudo systemctl {verb} {daemon}"
    return f"start {daemon} again" if verb == "restart" else f"send SIGHUP to {daemon}"
