"""Where a package is built, and how it comes to the daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from collabd.ctl.command import client
from collabd.ctl.figures import short_digest
from collabd.ctl.progress import busy
from collabd.did_you_mean import unknown_model

# So long because a Pi writes the package to a slow card and then warms the model up.
_LOAD_TIMEOUT_S = 600


def require_daemon() -> None:
    """Refuse now what would fail after minutes of building."""
    with client() as daemon:
        daemon.models()


def package_path(model: str) -> Path:
    """The directory of a package: `model` itself, or that of a model of this name which the daemon serves."""
    if Path(model).is_dir():
        return Path(model)
    with client() as daemon:
        served = {each["name"]: Path(each["path"]) for each in daemon.models()}
    if model not in served:
        raise unknown_model(model, served)
    return served[model]


@contextmanager
def destination(out: Path | None) -> Iterator[Path]:
    """The directory to build in. An old package there is replaced; anything else there is an error."""
    if out is not None:
        if out.is_dir() and any(out.iterdir()) and not (out / "package.json").is_file():
            raise click.BadParameter(f"{out} exists and is not a package, so it is not replaced", param_hint="--out")
        yield out
        return

    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as scratch:
        # The daemon, which reads the folder, may run as another user.
        Path(scratch).chmod(0o755)
        yield Path(scratch, "package")


def load_package(directory: Path, say: Callable[[str], object] = click.echo) -> None:
    """Have the daemon load the package, and `say` what it made of it."""
    with busy("loading ..."), client(_LOAD_TIMEOUT_S) as daemon:
        model = daemon.load_model(directory)
    say(f"added {model['name']} ({short_digest(model['digest'])}): {model['layers']} layers, {model['cuts']} cuts")


def tell(progress: str) -> None:
    """Say what is going on, beside what the command gives."""
    click.echo(progress, err=True)
