"""The process that tries one package out, within bounds of memory and time of its own; `apart` starts it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from collab_sdk.errors import InvalidPackage
from collabd.catalog.package.package import Package, load
from collabd.catalog.trial.apart import REFUSED
from collabd.catalog.trial.inspection import inspect

# Memory: eight bytes for each byte of the file, whose weights are held in float32, as the runtime packs them, and in
# copies; besides, what `effort` allows.
_BYTES_A_BYTE = 8
_BYTES = 3 << 30
_CPU_S = 240


def _bound(package: Package) -> None:
    """Limit memory and time from here on: the libraries are loaded, and what they took does not count."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    limit = pages * resource.getpagesize() + _BYTES + _BYTES_A_BYTE * package.graph_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(path: str) -> int:
    """The exit status: 0 if the package passes, `REFUSED` with the reason printed if not."""
    try:
        package = load(Path(path))
        _bound(package)
        inspect(package)
    except InvalidPackage as error:
        sys.stdout.write(str(error))
        return REFUSED
    except MemoryError:
        sys.stdout.write("reading its graphs and running them once takes more memory than one package may take")
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
