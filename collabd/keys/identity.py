"""By what a certificate is recognised before it has proved anything: its name, and who issued it."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID


def authority_of(pem: bytes) -> str:
    """Who issued the certificate: the identifier of the issuer's key, in hexadecimal. Raises `ValueError`."""
    return _issuer(x509.load_pem_x509_certificate(pem)).hex()


def authorities_in(pem: bytes) -> frozenset[str]:
    """What `authority_of` may say of a certificate that is trusted because of these. Raises `ValueError`."""
    certificates = x509.load_pem_x509_certificates(pem)
    # A companion's own certificate may be what is trusted.
    return frozenset(identifier.hex() for each in certificates for identifier in (_own(each), _issuer(each)))


def name_of(pem: bytes) -> str:
    """The common name of the certificate; empty: it has none. Raises `ValueError`."""
    names = x509.load_pem_x509_certificate(pem).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def hosts_of(pem: bytes) -> set[str]:
    """The names and addresses that a server's certificate is for. Raises `ValueError`."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {
        *names.get_values_for_type(x509.DNSName),
        *(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    }


def _own(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def _issuer(certificate: x509.Certificate) -> bytes:
    try:
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        issuer = None
    # Without it, the certificate is taken for one that issued itself.
    return issuer or _own(certificate)
