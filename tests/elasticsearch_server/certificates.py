"""Certificates for tests of TLS: an authority of their own, and what it vouches for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

PEM = serialization.Encoding.PEM
HERE = "127.0.0.1"


class Identity(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the certificate as people write it."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def pem(self) -> bytes:
        """Return the certificate as text."""
        return self.certificate.public_bytes(PEM)

    @property
    def key_pem(self) -> bytes:
        """Return the key as text."""
        return self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def write(self, folder: Path, name: str, *others: Identity) -> tuple[Path, Path]:
        """Write certificate and key, with certificates of others behind it; return both paths."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(b"".join(one.pem for one in (self, *others)))
        key.write_bytes(self.key_pem)
        return certificate, key


def authority(name: str = "authority of tests") -> Identity:
    """Make an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Identity(_builder(name, name, key, is_authority=True).sign(key, hashes.SHA256()), key)


def server(signer: Identity, *, days: float = 2) -> Identity:
    """Make the certificate of a server at 127.0.0.1, and at no name; with negative days it has expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = signer.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    builder = _builder("server of tests", str(issuer), key, is_authority=False, days=days)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HERE))]), critical=False)
    return Identity(builder.sign(signer.key, hashes.SHA256()), key)


def _builder(
    name: str, issuer: str, key: ec.EllipticCurvePrivateKey, *, is_authority: bool, days: float = 2
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_called(name))
        .issuer_name(_called(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )


def _called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
