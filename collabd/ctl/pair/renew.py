"""`collabctl pair renew`: a new certificate for a companion whose names or addresses have changed."""

from __future__ import annotations

from pathlib import Path

import click

from collabd.ctl.command import Command, Failure
from collabd.ctl.pair.options import COMPANION, command_for, places


@click.command(cls=Command)
@click.option("--host", "hosts", multiple=True, help="A further name or address of this machine; you can give several.")
@places(COMPANION)
def renew(hosts: tuple[str, ...], config: Path, keys: Path | None) -> None:
    """On the companion: renew its certificate, for all names and addresses that this machine has now.

    Those that it had stay. Devices need nothing new, because the authority and their tokens stay.
    """
    from collabd.ctl.pair.companion import CompanionHalf
    from collabd.ctl.pair.places import Place
    from collabd.keys.identity import hosts_of

    place = Place(COMPANION, config, keys)
    half, present = CompanionHalf(place), place.folder / "server.crt"
    if not (present.exists() and half.has_own_certificate):
        raise Failure("collabctl pair did not make the certificate of this companion, so it cannot renew it")
    before = present.read_bytes()
    half.certify(hosts)
    after = present.read_bytes()
    if after == before:
        click.echo("the certificate is good for all names and addresses of this machine")
        return
    new = sorted(hosts_of(after) - hosts_of(before))
    click.echo(f"renewed the certificate, now also for {', '.join(new)}" if new else "renewed the certificate")
    click.echo(f"to use it, run: {command_for('reload', COMPANION, place)}")
