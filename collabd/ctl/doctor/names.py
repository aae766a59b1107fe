"""Whether the companion's certificate is for all addresses by which devices may reach this machine."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from collabd.ctl.doctor.context import COMPANION, Context
from collabd.ctl.doctor.finding import Finding
from collabd.ctl.doctor.machine import AS_ROOT

if TYPE_CHECKING:
    from collabd.config import CloudServerSettings


def check_names(context: Context) -> Iterator[Finding]:
    """The names in the companion's certificate."""
    from collabd.discovery.machine import own_addresses, reached_at
    from collabd.keys.identity import hosts_of

    if COMPANION not in context.roles or context.companion is None or not context.companion.server.tls_cert:
        return
    server = context.companion.server
    try:
        certified = hosts_of(Path(server.tls_cert).read_bytes())
        yield of_names(server, certified, reached_at([server.host], own_addresses()))
    except PermissionError:
        title = f"this user may not look at {server.tls_cert}"
        yield Finding("certificate-names", "not-measured", title, advice=AS_ROOT)
    except (OSError, ValueError):
        return  # `keys` says so


def of_names(server: CloudServerSettings, certified: Collection[str], addresses: Sequence[str]) -> Finding:
    """The finding for a certificate that is for `certified`, on a machine that is reached at these addresses."""
    if lacking := [address for address in addresses if address not in certified]:
        return Finding(
            "certificate-names",
            "note",
            f"{server.tls_cert} is not for {', '.join(lacking)}: a device whose url names such an address refuses it",
            advice="If devices use it: sudo collabctl pair renew, then sudo systemctl reload collab-cloudd",
            unless=("keys", "certificates"),
        )
    return Finding("certificate-names", "ok", f"{server.tls_cert} is for all addresses of this machine")
