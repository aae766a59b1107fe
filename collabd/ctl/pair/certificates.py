"""The companion's own certificate authority, and the certificates that it issues to the companion and to devices."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from collabd.keys.identity import hosts_of

# Long, because nobody renews these certificates; a user who loses a key makes new ones.
_VALID = dt.timedelta(days=3652)
# Certificates are valid from this long ago: a board without a clock starts years in the past, and without a network its
# clock stays there.
_BEFORE = dt.timedelta(days=5 * 365)
_RENEW = dt.timedelta(days=365)


Now: TypeAlias = Callable[[], dt.datetime]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes


def authority(name: str) -> Pair:
    """A new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(f"collabd authority of {name}")
    builder = _builder(subject, subject, key.public_key(), now=_now).add_extension(x509.BasicConstraints(True, 0), True)
    return _signed(builder.add_extension(_usage(authority=True), True), key, key)


def server(issuer: Pair, name: str, hosts: Iterable[str], *, now: Now = _now) -> Pair:
    """A certificate for a companion that devices reach under these names and addresses."""
    names = x509.SubjectAlternativeName([_general(host) for host in hosts])
    return _issued(issuer, name, purpose=ExtendedKeyUsageOID.SERVER_AUTH, now=now, names=names)


def client(issuer: Pair, name: str) -> Pair:
    """A certificate for a device."""
    return _issued(issuer, name, purpose=ExtendedKeyUsageOID.CLIENT_AUTH, now=_now)


def serves(certificate: bytes, issuer: bytes, hosts: Collection[str]) -> bool:
    """Whether this authority issued the certificate, for all these names, and it stays valid for some time."""
    parsed = _parsed(certificate)
    soon = _now() + _RENEW
    ours = parsed.issuer == _parsed(issuer).subject
    return ours and set(hosts) <= hosts_of(certificate) and parsed.not_valid_after_utc > soon


def _issued(
    issuer: Pair,
    name: str,
    *,
    purpose: x509.ObjectIdentifier,
    now: Now,
    names: x509.SubjectAlternativeName | None = None,
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    its_key = serialization.load_pem_private_key(issuer.key, None)
    assert isinstance(its_key, ec.EllipticCurvePrivateKey), "made by `authority`"  # noqa: S101
    its_subject = _parsed(issuer.certificate).subject
    builder = (
        _builder(_named(name), its_subject, key.public_key(), now=now)
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(_usage(authority=False), True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(its_key.public_key()), False)
    )
    if names is not None:
        builder = builder.add_extension(names, False)
    return _signed(builder, its_key, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, now: Now
) -> x509.CertificateBuilder:
    made = now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(made - _BEFORE)
        .not_valid_after(made + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
    )


def _signed(builder: x509.CertificateBuilder, by: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePrivateKey) -> Pair:
    pem = serialization.Encoding.PEM
    made = builder.sign(by, hashes.SHA256())
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Pair(made.public_bytes(pem), secret)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _parsed(certificate: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate)
