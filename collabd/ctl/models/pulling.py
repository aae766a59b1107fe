"""Gets a package from an index and has the daemon load it: what `collabctl models pull` and `collabctl run` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collabd.ctl.command import Failure, client
from collabd.ctl.figures import short_digest
from collabd.ctl.models.loading import destination, load_package, tell
from collabd.ctl.progress import busy, bytes_bar

if TYPE_CHECKING:
    from collab_sdk.reports import ConfigReport
    from collabd.catalog.pull.index import Offer
    from collabd.catalog.pull.pull import IndexAt

_OPTIONS = (
    click.option("--index", metavar="URL|PATH", help="The index of models (default: [models] index of the daemon)."),
    click.option("--sha256", metavar="HEX", default="", help="The sha256 that this index must have."),
    click.option("--key", metavar="BASE64", default="", help="The ed25519 key that this index must be signed with."),
)


def index_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--index, --sha256 and --key."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def is_served(model: str) -> bool:
    """Whether the daemon serves a model of this name."""
    with client() as daemon:
        return any(each["name"] == model for each in daemon.models())


def pull_model(
    model: str, *, index: str | None, sha256: str, key: str, say: Callable[[str], object] = click.echo
) -> None:
    """Get NAME or NAME:VERSION from the index and have the daemon load it, unless it serves just that already.

    `say` is called with what became of it. Raises `Failure` if there is no index, and `CollabError`.
    """
    from collabd.catalog.pull.index import choose
    from collabd.catalog.pull.pull import IndexAt
    from collabd.catalog.pull.trust import Trust

    with client() as daemon:
        settings, version, served = daemon.config(), daemon.status()["version"], daemon.models()
    stated = (index, sha256, key) if index else _configured(settings, sha256, key)
    source = IndexAt.read(stated[0], Trust(*stated[1:]))
    offer = choose(source.index, model, running=version)
    tell(f"{offer}: {offer.task}, {offer.archive.bytes / 1e6:.1f} MB, from {source.url}")
    tell(f"licence: {offer.licence}")
    tell(f"source: {offer.source}")
    if any(each["digest"] == offer.digest for each in served):
        say(f"{offer} is served already ({short_digest(offer.digest)})")
    else:
        _install(source, offer, say)


def _configured(settings: ConfigReport, sha256: str, key: str) -> tuple[str, str, str]:
    """The index of the daemon's configuration, its sha256 and its key, unless the command line states either."""
    index, its_digest, its_key = (
        str(settings["settings"].get(f"models.{name}", {"value": ""})["value"])
        for name in ("index", "index_digest", "index_key")
    )
    if not index:
        raise Failure("there is no index of models: name one with --index, or as [models] index in the configuration")
    return (index, sha256, key) if sha256 or key else (index, its_digest, its_key)


def _install(source: IndexAt, offer: Offer, say: Callable[[str], object]) -> None:
    from collabd.catalog.pull.download import cache_folder
    from collabd.catalog.pull.pull import pull
    from collabd.config import PackageSettings

    # As large as a companion takes from a device, unless it is told otherwise.
    most_bytes = PackageSettings().max_mb << 20
    with destination(None) as directory:
        with bytes_bar(f"pulling {offer}", offer.archive.bytes) as at:
            package = pull(
                source, offer, directory, cache=cache_folder(), most_bytes=most_bytes, at=at, try_out=_try_out
            )
        load_package(package.path, say)


def _try_out(directory: Path) -> None:
    from collabd.catalog.trial.apart import try_apart

    with busy("trying it out ..."):
        try_apart(directory)
