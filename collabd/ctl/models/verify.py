"""`collabctl models verify`: whether packages are whole, and fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from collabd.ctl import figures
from collabd.ctl.command import Command, client
from collabd.ctl.output import emit, json_option, styled, table

if TYPE_CHECKING:
    from collabd.ctl.tables import Table


class VerdictReport(TypedDict):
    """One package. `name` and `digest`: None if they cannot be read. `fault`: None if the package is sound."""

    path: str
    name: str | None
    digest: str | None
    fault: str | None


class VerifyReport(TypedDict):
    """All packages that were looked at."""

    packages: list[VerdictReport]


@click.command(cls=Command)
@click.argument("directories", nargs=-1, type=click.Path(path_type=Path), metavar="[DIR...]")
@json_option
def verify(directories: tuple[Path, ...], as_json: bool) -> None:
    """Check that packages are whole and fit together.

    Those in DIR..., else those of the models that collabd serves: the digest of the files, the manifest, and whether
    graph and manifest fit together; of a model that is served, whether its package is still the one that was loaded.
    Exit status 1 if one is not sound.
    """
    wanted: Mapping[Path, str | None] = dict.fromkeys(directories) or _served()
    report: VerifyReport = {"packages": [_verify(path, digest) for path, digest in wanted.items()]}
    emit(report, _render, as_json=as_json)
    if any(package["fault"] for package in report["packages"]):
        click.get_current_context().exit(1)


def _served() -> dict[Path, str | None]:
    """The packages of the daemon's models, with the digests that it loaded."""
    with client() as daemon:
        return {Path(model["path"]): model["digest"] for model in daemon.models()}


def _verify(path: Path, loaded: str | None) -> VerdictReport:
    from collab_sdk.errors import InvalidPackage
    from collabd.catalog.package.package import load

    verdict = VerdictReport(path=str(path), name=None, digest=None, fault=None)
    try:
        package = load(path)
        verdict["name"], verdict["digest"] = package.manifest.name, package.digest
        package.networks()
    except InvalidPackage as error:
        verdict["fault"] = str(error)
    else:
        if loaded not in (None, package.digest):
            verdict["fault"] = f"collabd still runs {loaded}: restart collabd, or add the package again"
    return verdict


def _render(report: VerifyReport) -> Iterator[Table]:
    built = table("package", "model", "digest", "verdict", spare=("digest",), long_last=True)
    for package in report["packages"]:
        built.add_row(
            package["path"],
            package["name"] or figures.UNKNOWN,
            figures.UNKNOWN if package["digest"] is None else figures.short_digest(package["digest"]),
            styled(package["fault"], "red") if package["fault"] else "sound",
        )
    yield built
