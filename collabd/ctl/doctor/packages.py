"""The model packages on this machine: whether each matches its own digest and the digest that the daemon loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from collabd.ctl.doctor.context import Context, Settings
from collabd.ctl.doctor.finding import Finding
from collabd.ctl.doctor.machine import AS_ROOT, ExaminedMachine

_SHIPPED = ("/usr/local/share/collabd/models", "/usr/share/collabd/models")


def check_packages(context: Context) -> Iterator[Finding]:
    """The packages that the daemon serves, and all packages in the model folders of the installed daemons."""
    loaded = {Path(model["path"]): model["digest"] for model in (context.heard.status or {"models": []})["models"]}
    places = [*loaded]
    for root in dict.fromkeys(root for settings in context.settings for root in _roots(context.machine, settings)):
        try:
            places += sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
        except PermissionError:
            yield Finding("packages", "not-measured", f"this user may not look into {root}", advice=AS_ROOT)
        except OSError:
            continue
    loaded = {path.resolve(): digest for path, digest in loaded.items()}
    found = {path: of_package(path, loaded.get(path)) for path in dict.fromkeys(place.resolve() for place in places)}
    yield from (finding for finding in found.values() if finding is not None)
    if sound := sum(finding is None for finding in found.values()):
        yield Finding("packages", "ok", f"the digests of {sound} of {len(found)} model packages match their files")
    elif not places:
        yield Finding("packages", "warning", "no model package is installed", advice="Add one: collabctl models add")


def of_package(path: Path, loaded: str | None) -> Finding | None:
    """The fault of one package; `loaded` is the digest of the package that the daemon loaded."""
    from collab_sdk.errors import InvalidPackage
    from collabd.catalog.package.package import load

    if not os.access(path, os.R_OK | os.X_OK):
        return Finding("packages", "not-measured", f"this user may not read {path}", advice=AS_ROOT)
    try:
        found = load(path).digest
    except InvalidPackage as error:
        return Finding("packages", "error", str(error), advice=f"Install it again, or remove it: {path}")
    if loaded in {None, found}:
        return None
    title = f"{path} has changed since collabd loaded it"
    return Finding("packages", "warning", title, advice="Load it again: sudo systemctl restart collabd")


def _roots(machine: ExaminedMachine, settings: Settings) -> list[Path]:
    if settings.config is not None and settings.config.models.roots:
        return [Path(root).expanduser() for root in settings.config.models.roots]
    state = machine.path(f"/var/lib/{settings.role.program}")
    if settings.config is not None and settings.config.state_dir:
        state = Path(settings.config.state_dir)
    return [state / "models", *(machine.path(place) for place in _SHIPPED)]
