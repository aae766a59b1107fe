"""TLS contexts for both sides, made from key files."""

from __future__ import annotations

import ssl

from collabd.keys.files import KeyProblem, read


def server_context(certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    """For a companion that shows this certificate. Raises `KeyProblem`.

    If `client_ca` is given, devices must show a certificate that this authority signed.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    present(context, certificate, key)
    if client_ca:
        _trust(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if reason := _refused(context, certificate):
        raise KeyProblem(f"{certificate}: {reason}: make a new one (sudo collabctl pair new)")
    return context


def client_context(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """For a device. Raises `KeyProblem`.

    An empty `ca` stands for the authorities of the system. With an empty `certificate` the device shows none.
    """
    context = ssl.create_default_context() if not ca else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca:
        _trust(context, ca)
    if certificate:
        present(context, certificate, key)
    return context


def present(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Show this certificate in all handshakes from now on. Raises `KeyProblem`."""
    for path, private in ((certificate, False), (key, True)):
        if b"-----BEGIN" not in read(path, private=private):
            raise KeyProblem(f"{path}: is not in PEM format")
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except _Locked:
        raise KeyProblem(f"{key}: a password protects it, and a daemon cannot ask for one") from None
    except ssl.SSLError as error:
        raise KeyProblem(f"{certificate}, {key}: {_reason(error)}") from None


def _trust(context: ssl.SSLContext, path: str) -> None:
    """Trust the certificate at `path`: an authority's, or simply the one that the other side shows."""
    try:
        context.load_verify_locations(cadata=read(path, private=False).decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError):
        raise KeyProblem(f"{path}: holds no certificate in PEM format") from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _refused(context: ssl.SSLContext, certificate: str) -> str:
    """Why a client that trusts this very certificate would refuse it; empty: it would not.

    That the certificate is not valid yet is no reason: a machine without a battery for its clock starts in the past.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    _trust(client, certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        context.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(2):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as error:
                return "" if error.verify_code == _NOT_YET else error.verify_message
            except ssl.SSLError:
                return ""  # the server wants a certificate of the client, so the client has accepted the server's
    return ""


# X509_V_ERR_CERT_NOT_YET_VALID of OpenSSL.
_NOT_YET = 9


class _Locked(Exception):
    """OpenSSL asked for a password."""


def _no_password() -> str:
    raise _Locked


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "cannot be used").replace("_", " ").lower()
