"""`collab-cloudd`: the companion daemon."""

from __future__ import annotations

from pathlib import Path

import click

from collabd import __version__, config, lifecycle

DEFAULT_CONFIG = Path("/etc/collabd/collab-cloudd.toml")


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path), help=f"Configuration (default: {DEFAULT_CONFIG}).")
@click.option("--verbose", is_flag=True, help="Log details.")
@click.version_option(__version__)
def main(path: Path | None, verbose: bool) -> None:
    """Run the networks, or the rest of them, that devices send."""
    loaded = lifecycle.start(config.CloudConfig, path, DEFAULT_CONFIG, verbose)

    from collabd.cloud.server import serve  # noqa: PLC0415  a third of a second, after the configuration is checked

    lifecycle.run("collab-cloudd", lambda: serve(loaded.config))


if __name__ == "__main__":
    main()
