"""By what a certificate is recognised: the same authority, whatever it issues, and no other."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from collabd.ctl.pair import certificates
from collabd.keys.identity import authorities_in, authority_of, hosts_of, name_of


def bare() -> bytes:
    """A certificate that issued itself, and has no extension."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "somebody")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_all_certificates_of_an_authority_have_it_and_no_other() -> None:
    ours, other = certificates.authority("pc"), certificates.authority("pc")
    for made in (certificates.server(ours, "pc", ["pc"]), certificates.server(ours, "pc-2", ["::1"])):
        assert authority_of(made.certificate) in authorities_in(ours.certificate)
        assert authority_of(made.certificate) not in authorities_in(other.certificate)
        # A device may trust this very certificate.
        assert authority_of(made.certificate) in authorities_in(made.certificate)
        assert authority_of(made.certificate) in authorities_in(other.certificate + ours.certificate)


def test_names_and_hosts() -> None:
    made = certificates.server(certificates.authority("x"), "pc", ["pc.local", "192.0.2.1", "2001:db8::1"])
    assert name_of(made.certificate) == "pc"
    assert hosts_of(made.certificate) == {"pc.local", "192.0.2.1", "2001:db8::1"}


def test_a_certificate_without_any_extension_is_its_own_authority() -> None:
    made = bare()
    assert authorities_in(made) == {authority_of(made)}
    assert (name_of(made), hosts_of(made)) == ("", set())


def test_what_is_no_certificate() -> None:
    for read in (authority_of, authorities_in, name_of, hosts_of):
        with pytest.raises(ValueError, match="PEM"):
            read(b"nothing")
