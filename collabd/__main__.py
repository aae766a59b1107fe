"""`collabd`: the daemon on the device."""

from __future__ import annotations

from pathlib import Path

import click

from collabd import __version__, config, lifecycle

DEFAULT_CONFIG = Path("/etc/collabd/collabd.toml")


@click.command()
@click.option(
    "--config", "path", type=click.Path(path_type=Path), help=f"Configuration file (default: {DEFAULT_CONFIG})."
)
@click.option("--check", is_flag=True, help="Only check the configuration; exit status 78 means that it is bad.")
@click.option("--verbose", is_flag=True, help="Log details.")
@click.version_option(__version__)
def main(path: Path | None, check: bool, verbose: bool) -> None:
    """Answer infer(image, budget) on a Unix socket, together with the companions of the configuration."""
    source = config.Source(config.DeviceConfig, path, DEFAULT_CONFIG, problems=_problems)
    loaded = lifecycle.start("collabd", source, verbose=verbose, check=check, refused=_turn_callers_away)

    from collabd.device.server import serve  # noqa: PLC0415  a third of a second, after the configuration is checked

    lifecycle.run("collabd", lambda: serve(loaded, source.load))


def _turn_callers_away() -> None:
    from collabd.device.api.socket import turn_away  # noqa: PLC0415  only then

    turn_away("collabd does not start: its configuration is bad (journalctl -u collabd)")


def _problems(settings: config.DeviceConfig) -> list[str]:
    # aiohttp, not before the file itself is known to be good.
    from collabd.device.companions import credentials  # noqa: PLC0415
    from collabd.device.doors import keys  # noqa: PLC0415

    return [*credentials.problems(settings), *keys.problems(settings)]


if __name__ == "__main__":
    main()
