"""The keys with which the device proves itself to a companion, and those with which it recognises the companion."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import hdrs
from yarl import URL

from collabd.config import CloudSettings, DeviceConfig
from collabd.keys.files import KeyProblem, read
from collabd.keys.tls import client_context
from collabd.keys.tokens import read_token


@dataclass(frozen=True)
class CloudKeys:
    """The keys for one companion, read from their files. Two are equal if the contents of the files are equal.

    `tls`: None: the companion is checked by the authorities that the system trusts.
    """

    headers: tuple[tuple[str, str], ...] = field(repr=False)
    tls: ssl.SSLContext | None = field(repr=False, compare=False)
    fingerprint: str = field(repr=False)


def read_keys(cloud: CloudSettings) -> CloudKeys:
    """Read the keys for the companion `cloud`. Raises `KeyProblem`."""
    headers = ((hdrs.AUTHORIZATION, f"Bearer {read_token(cloud.token_file)}"),) if cloud.token_file else ()
    files = [path for path in (cloud.ca_file, cloud.client_cert, cloud.client_key) if path]
    tls: ssl.SSLContext | None = None
    if files:
        tls = client_context(cloud.ca_file, cloud.client_cert, cloud.client_key)
    return CloudKeys(headers, tls, _fingerprint(files))


def problems(config: DeviceConfig) -> list[str]:
    """Everything that is wrong with the keys for the companions, one line each."""
    return [problem for index, cloud in enumerate(config.clouds) for problem in _problems(cloud, f"clouds[{index}].")]


def _problems(cloud: CloudSettings, prefix: str) -> Iterator[str]:
    secure = cloud.url.startswith("https:")
    if bool(cloud.client_cert) != bool(cloud.client_key):
        yield f"{prefix}client_cert: client_cert and client_key need each other"
        return
    for name in ("ca_file", "client_cert"):
        if getattr(cloud, name) and not secure:
            yield f"{prefix}{name}: needs an https url"
    if cloud.follow and not (secure and cloud.ca_file):
        yield (
            f"{prefix}follow: needs an https url and ca_file, by which the companion is recognised wherever it is found"
        )
    if cloud.token_file and not secure and not cloud.insecure and not _is_here(cloud.url):
        yield (
            f"{prefix}token_file: anyone on the way to {cloud.url} could read the token: "
            "use https, as collabctl pair sets it up (or set insecure = true to go without)"
        )
    try:
        read_keys(cloud)
        if cloud.follow and cloud.ca_file:
            authorities_of(cloud)
    except KeyProblem as problem:
        yield str(problem)


def authorities_of(cloud: CloudSettings) -> frozenset[str]:
    """Who may have issued the certificate of a companion that is followed. Raises `KeyProblem`."""
    from collabd.keys.identity import authorities_in  # noqa: PLC0415  what reads certificates: 8 MB

    try:
        return authorities_in(read(cloud.ca_file, private=False))
    except ValueError as error:
        raise KeyProblem(
            f"{cloud.ca_file}: its certificate is out of form, so follow cannot use it: {error}"
        ) from error


def _is_here(url: str) -> bool:
    """Whether the URL names this machine. Names are not resolved: the same name may have another address next time."""
    host = URL(url).host or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _fingerprint(files: list[str]) -> str:
    whole = hashlib.sha256()
    for path in files:
        whole.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return whole.hexdigest()
