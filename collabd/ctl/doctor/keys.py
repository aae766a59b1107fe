"""The key files that the configurations name: whether they exist, who owns and may read them, when they expire."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from collabd.ctl.doctor.context import COMPANION, DEVICE, Context, Role
from collabd.ctl.doctor.finding import Finding
from collabd.ctl.doctor.machine import AS_ROOT
from collabd.keys.files import TOO_OPEN

if TYPE_CHECKING:
    from collabd.config import CloudServerSettings, CloudSettings

_SOON = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class KeyFile:
    """A key file that a daemon's configuration names; `private`: only that daemon may read it."""

    role: Role
    setting: str
    path: Path
    private: bool


def check_keys(context: Context) -> Iterator[Finding]:
    """Check the owner and mode of each file, and the validity of each certificate."""
    now = datetime.now(UTC)
    for key in _files(context):
        try:
            yield of_file(key, key.path.stat())
            if not key.private:
                yield of_certificate(key, key.path.read_bytes(), now)
        except PermissionError:
            yield Finding(
                "keys", "not-measured", f"this user may not look at {key.path} ({key.setting})", advice=AS_ROOT
            )
        except OSError as error:
            title = f"{key.path} ({key.setting}): {(error.strerror or str(error)).lower()}"
            yield Finding(
                "keys", "error", title, advice=f"Make keys with collabctl pair, or remove the setting {key.setting}"
            )


def of_file(key: KeyFile, status: os.stat_result) -> Finding:
    """The finding for a file's owner and mode."""
    mode, owner = stat.S_IMODE(status.st_mode), _owner(status.st_uid)
    title = f"{key.path} ({key.setting}): mode {mode:04o}, owner {owner}"
    if key.private and mode & TOO_OPEN:
        lost = "Anyone who has read it can use the companion: if strangers could, make new keys"
        return Finding("keys", "error", f"{title}: other users may read it", advice=f"chmod 400 {key.path}. {lost}")
    if mode & (stat.S_IWOTH | stat.S_IWGRP):
        return Finding("keys", "error", f"{title}: other users may replace it", advice=f"chmod 444 {key.path}")
    if key.private and mode & stat.S_IRGRP:
        return Finding(
            "keys", "warning", f"{title}: its group may read it", advice=f"chmod 400 {key.path}, unless you want that"
        )
    if key.private and owner not in {"root", key.role.program} and str(key.path).startswith("/etc/"):
        return Finding(
            "keys",
            "warning",
            f"{title}: the daemon may not be able to read it",
            advice=f"chown {key.role.program} {key.path}",
        )
    return Finding("keys", "ok", title)


def of_certificate(key: KeyFile, pem: bytes, now: datetime) -> Finding:
    """The finding for the validity of a file's certificates; the one that expires first counts."""
    from cryptography import x509

    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return Finding(
            "certificates",
            "error",
            f"{key.path} ({key.setting}) holds no certificate in PEM format",
            advice="Make new keys with collabctl pair",
        )
    last = min(certificate.not_valid_after_utc for certificate in certificates)
    first = max(certificate.not_valid_before_utc for certificate in certificates)
    title = f"{key.path} ({key.setting}) is valid until {last:%Y-%m-%d}"
    if last <= now:
        return Finding("certificates", "error", f"{title}: it has expired", advice="Make new keys with collabctl pair")
    if first > now:
        return Finding(
            "certificates",
            "error",
            f"{key.path} ({key.setting}) is valid only from {first:%Y-%m-%d} on",
            advice="Set this machine's clock",
        )
    if last - now < _SOON:
        return Finding(
            "certificates", "warning", f"{title}: it will expire soon", advice="Make new keys with collabctl pair"
        )
    return Finding("certificates", "ok", title)


def _files(context: Context) -> Iterator[KeyFile]:
    if context.device is not None:
        for cloud in context.device.clouds:
            yield from _named(DEVICE, f"companion {cloud.name}", cloud)
    if context.companion is not None:
        yield from _named(COMPANION, "server", context.companion.server)


def _named(role: Role, prefix: str, table: CloudSettings | CloudServerSettings) -> Iterator[KeyFile]:
    private = {"token_file": True, "client_key": True, "tls_key": True}
    for setting in ("token_file", "ca_file", "client_cert", "client_key", "tls_cert", "tls_key", "client_ca"):
        if path := getattr(table, setting, ""):
            is_private = private.get(setting, False)
            yield KeyFile(role=role, setting=f"{prefix}: {setting}", path=Path(path), private=is_private)


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
