"""`collab-cloudd`: the companion daemon."""

from __future__ import annotations

from pathlib import Path

import click

from collabd import __version__, config, lifecycle

DEFAULT_CONFIG = Path("/etc/collabd/collab-cloudd.toml")


@click.command()
@click.option(
    "--config", "path", type=click.Path(path_type=Path), help=f"Configuration file (default: {DEFAULT_CONFIG})."
)
@click.option("--check", is_flag=True, help="Only check the configuration; exit status 78 means that it is bad.")
@click.option("--verbose", is_flag=True, help="Log details.")
@click.version_option(__version__)
def main(path: Path | None, check: bool, verbose: bool) -> None:
    """Run the networks, or the rest of them, that devices send."""
    source = config.Source(config.CloudConfig, path, DEFAULT_CONFIG, problems=_problems)
    loaded = lifecycle.start("collab-cloudd", source, verbose=verbose, check=check)

    from collabd.cloud.server import serve  # noqa: PLC0415  a third of a second, after the configuration is checked

    lifecycle.run("collab-cloudd", lambda: serve(loaded, source.load))


def _problems(settings: config.CloudConfig) -> list[str]:
    # Not before the file itself is known to be good: aiohttp.
    from collabd.catalog.store import shared  # noqa: PLC0415
    from collabd.cloud.api import guard  # noqa: PLC0415

    return [*guard.problems(settings), *shared.problems(settings.models.shared)]


if __name__ == "__main__":
    main()
