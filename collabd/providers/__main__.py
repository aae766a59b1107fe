"""The process that tries one provider with one package; `apart` starts it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import msgspec

from collab_sdk.errors import InvalidPackage
from collab_sdk.vocabulary import Precision, Provider
from collabd.catalog.package.package import load
from collabd.engine import EngineError
from collabd.providers.agreement import disagreement
from collabd.providers.apart import REFUSED
from collabd.providers.reduced import NotReduced, agreement_in


def main(provider: str, path: str, threads: str, *precision: str) -> int:
    """The exit status: 0 if the provider may run the package, `REFUSED` if not. `precision`: in which; none: fp32.

    Last it prints the reason of a refusal, and of a reduced precision the agreement that was counted, as JSON.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    reason, counted = "", ""
    try:
        package, tried = load(Path(path)), Precision(*precision or (Precision.FP32,))
        if tried.is_reduced:
            agreement = agreement_in(package, Provider(provider), tried, threads=int(threads))
            counted = msgspec.json.encode(agreement).decode()
        else:
            reason = disagreement(package, Provider(provider), threads=int(threads))
    except (EngineError, InvalidPackage, NotReduced) as error:
        reason = str(error)
    # After whatever the provider's libraries have printed.
    sys.stdout.write(f"\n{' '.join(reason.split()) or counted}")
    return REFUSED if reason else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
