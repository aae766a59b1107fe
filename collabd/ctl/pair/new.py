"""`collabctl pair new`: the companion's half, and the file for the device."""

from __future__ import annotations

from pathlib import Path

import click

from collabd.ctl.command import Command, Failure
from collabd.ctl.pair.options import COMPANION, command_for, name, places

# An address that nobody has (RFC 5737). Nothing is sent there, but the route to it tells which own address others see.
_ANYWHERE = ("192.0.2.1", 9)


@click.command(cls=Command)
@click.argument("device", callback=name)
@click.option(
    "--host", "hosts", multiple=True, help="Name or address by which devices reach this machine; you can give several."
)
@click.option(
    "--name", "called", callback=name, help="What the device calls this companion (default: this machine's host name)."
)
@click.option(
    "--announce",
    is_flag=True,
    help="From now on announce this companion in the local network; the device finds it there at any address.",
)
@click.option("--mutual", is_flag=True, help="From now on devices must show a certificate besides the token.")
@click.option("--replace", is_flag=True, help="Give the device another token if it has one already.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The file for the device (default: DEVICE.pair; - prints it)."
)
@places(COMPANION)
def new(
    device: str,
    *,
    hosts: tuple[str, ...],
    called: str | None,
    announce: bool,
    mutual: bool,
    replace: bool,
    out: Path | None,
    config: Path,
    keys: Path | None,
) -> None:
    """On the companion: make the keys for DEVICE.

    Puts the companion's half in place, changes its configuration so that it uses them and listens for other machines,
    and writes DEVICE.pair, the device's half: carry it there, `collabctl pair add` it, and delete it.
    """
    from collabd.ctl.pair import certificates
    from collabd.ctl.pair.carried import Carried
    from collabd.ctl.pair.companion import CompanionHalf
    from collabd.ctl.pair.places import Place
    from collabd.discovery.machine import machine_name
    from collabd.discovery.package import MISSING, is_installed

    place = Place(COMPANION, config, keys)
    half = CompanionHalf(place)
    if device in half.devices and not replace:
        raise Failure(f"{device} already has a token: give it another one with --replace")
    hosts = hosts or _own_addresses()
    announce = announce or half.server.announce
    mutual = mutual or bool(half.server.client_ca)
    if mutual:
        half.check_mutual()
    issuer = half.certify(hosts) if half.has_own_certificate else None
    client = certificates.client(issuer, device) if issuer and mutual else None
    carried = Carried(
        device=device,
        name=called or machine_name(),
        url=_url(hosts[0], half.server.port),
        token=half.admit(device),
        ca=issuer.certificate.decode() if issuer else "",
        client_cert=client.certificate.decode() if client else "",
        client_key=client.key.decode() if client else "",
        # Only by its authority would the device recognise it.
        announced=announce and issuer is not None,
    )
    now_mutual = mutual and not half.server.client_ca
    is_new = half.configure(hosts[0], announce=announce, mutual=mutual)
    _hand_over(carried.encode(), out or Path(f"{device}.pair"))
    if now_mutual and half.devices:
        click.echo(
            f"from now on these devices are refused, until you pair them again: {', '.join(half.devices)}", err=True
        )
    if announce and not is_installed():
        click.echo(f"to be announced, this companion {MISSING}", err=True)
    click.echo(f"on this machine, run: {command_for('restart' if is_new else 'reload', COMPANION, place)}", err=True)


def _hand_over(content: bytes, path: Path) -> None:
    from collabd.atomic_file import replace_file
    from collabd.ctl.pair.places import OWNERS, caller

    if str(path) == "-":
        click.echo(content, nl=False)
        return
    replace_file(path, content, mode=OWNERS, owner=caller())
    click.echo(
        f"wrote {path}. Copy it to the device, and run there: sudo collabctl pair add {path.name}. Then delete {path}",
        err=True,
    )


def _own_addresses() -> tuple[str, ...]:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ANYWHERE)
        except OSError:
            raise Failure("this machine has no network: use --host to say how devices will reach it") from None
        return (str(probe.getsockname()[0]),)


def _url(host: str, port: int) -> str:
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"
