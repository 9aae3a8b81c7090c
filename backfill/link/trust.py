"""Who is who on the link: this host's keys, and the certificates of the peers it was paired with.

Rule: each host has an *identity*, a key that never leaves it and whose certificate its peers keep (pinned, no other
authority counts). What is shown in a handshake is a short-lived certificate signed by it, renewed by the host alone, so
that nobody needs to be told. TLS 1.3 only. Keys are readable by the service's user and by nobody else.
"""

import datetime
import hashlib
import os
import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from backfill.storage import write_durably
from schema.errors import PeerRefused, PeerUntrusted, TrustUnusable
from schema.settings import name_problem

_IDENTITY_KEY = "identity.key"
_IDENTITY = "identity.pem"
_LINK_KEY = "link.key"
_LINK = "link.pem"
_PEERS = "peers"

_DAY = datetime.timedelta(days=1)
_IDENTITY_LASTS = 30 * 365 * _DAY
_LINK_LASTS = 90 * _DAY
_RENEW_BEFORE = 30 * _DAY
_CLOCKS_DIFFER = 7 * _DAY
"""How far a peer's clock may be behind ours without our newest certificate being in its future."""

_PEM_LIMIT = 16_384
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Identity:
    """The certificate that a host is known by. `name` follows from its key, so no other key can have it."""

    pem: str
    name: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as it stands in an invitation."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.pem)).hexdigest()


def read_identity(pem: str, whose: str) -> Identity:
    """Return what `pem` says, checked: an authority of its own, named by its key. Raises PeerUntrusted."""
    try:
        return _identity(pem)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
        raise PeerUntrusted(whose, f"its certificate is not one of recorder-sync's: {error}") from None


def _identity(pem: str) -> Identity:
    if len(pem) > _PEM_LIMIT:
        raise ValueError("it is too long")
    certificate = x509.load_pem_x509_certificate(pem.encode())
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("its key is of another kind")
    certificate.verify_directly_issued_by(certificate)
    if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise ValueError("it cannot sign")
    name = _name_of(key)
    if certificate.subject != _subject(name):
        raise ValueError("its name is not that of its key")
    return Identity(certificate.public_bytes(serialization.Encoding.PEM).decode(), name)


class Trust:
    """The folder with this host's keys and its peers' identities."""

    def __init__(self, folder: str, server: str) -> None:
        self._folder = Path(folder)
        self._server = server

    def prepare(self) -> Identity:
        """Make what is not there yet, renew what is due, and return this host's identity. Raises TrustUnusable."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._folder / _PEERS).mkdir(mode=0o700, exist_ok=True)
            self._check_private(self._folder)
            if not (self._folder / _IDENTITY).exists():
                self._make_identity()
            self._check_private(self._folder / _IDENTITY_KEY)
            self.renew(datetime.datetime.now(datetime.UTC))
        except OSError as error:
            raise TrustUnusable(self._folder, f"{error.filename or ''}: {error.strerror}") from None
        return self.identity()

    def identity(self) -> Identity:
        """Return this host's identity. Raises TrustUnusable."""
        try:
            return read_identity((self._folder / _IDENTITY).read_text(encoding="ascii"), self._server)
        except (OSError, UnicodeDecodeError, PeerUntrusted) as error:
            raise TrustUnusable(self._folder, f"{_IDENTITY}: {error}") from None

    def renew(self, now: datetime.datetime) -> bool:
        """Sign a new certificate for handshakes if the present one ends soon; tells whether it did. Raises OSError."""
        try:
            present = x509.load_pem_x509_certificate((self._folder / _LINK).read_bytes())
            shown = present.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            named = shown.get_values_for_type(x509.DNSName) == [host_name(self._server)]
            lasts = present.not_valid_after_utc - now > _RENEW_BEFORE
            if named and lasts and (self._folder / _LINK_KEY).exists():
                return False
        except (FileNotFoundError, ValueError, x509.ExtensionNotFound):
            pass
        identity = x509.load_pem_x509_certificate((self._folder / _IDENTITY).read_bytes())
        signer = serialization.load_pem_private_key((self._folder / _IDENTITY_KEY).read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_subject(self._server), identity.subject, key, now - _CLOCKS_DIFFER, now + _LINK_LASTS)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host_name(self._server))]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        # One file, so that no reader ever sees a key and a certificate that do not belong together.
        self._write(_LINK_KEY, _private(key) + certificate.public_bytes(serialization.Encoding.PEM))
        self._write(_LINK, certificate.public_bytes(serialization.Encoding.PEM))
        return True

    def add_peer(self, server: str, pem: str) -> Identity:
        """Trust `server` to be who holds this identity's key. Raises PeerUntrusted, TrustUnusable."""
        problem = name_problem(server)
        if problem:  # it becomes the name of a file
            raise PeerUntrusted(ascii(server), problem)
        identity = read_identity(pem, server)
        for other, known in self.peers().items():
            if other != server and known.name == identity.name:
                raise PeerUntrusted(server, f"it has the same identity as peer {other}")
        if identity.name == self.identity().name:
            raise PeerUntrusted(server, "it has this host's own identity; were its files copied from here?")
        try:
            self._write(f"{_PEERS}/{server}.pem", identity.pem.encode())
        except OSError as error:
            raise TrustUnusable(self._folder, f"{error.filename}: {error.strerror}") from None
        return identity

    def lasts_until(self) -> datetime.datetime:
        """Return until when what is shown in handshakes lasts. Raises TrustUnusable."""
        try:
            return x509.load_pem_x509_certificate((self._folder / _LINK).read_bytes()).not_valid_after_utc
        except (OSError, ValueError) as error:
            raise TrustUnusable(self._folder, f"{_LINK}: {error}") from None

    def peers(self) -> dict[str, Identity]:
        """Return the identities of the peers, by server. Raises TrustUnusable."""
        found: dict[str, Identity] = {}
        try:
            for path in sorted((self._folder / _PEERS).glob("*.pem")):
                found[path.stem] = read_identity(path.read_text(encoding="ascii"), path.stem)
        except (OSError, UnicodeDecodeError, PeerUntrusted) as error:
            raise TrustUnusable(self._folder, str(error)) from None
        return found

    def server_context(self) -> ssl.SSLContext:
        """Return what peers are answered with: they must show that they are one. Raises TrustUnusable."""
        context = _context(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0  # nobody resumes: each connection proves anew who it is
        self.load_into(context, *self.peers().values())
        return context

    def client_context(self, server: str) -> ssl.SSLContext:
        """Return what to reach `server` with: nobody else is spoken to. Raises TrustUnusable, PeerUntrusted."""
        known = self.peers().get(server)
        if known is None:
            raise PeerUntrusted(server, "it was never paired with this host")
        context = _context(ssl.PROTOCOL_TLS_CLIENT)
        self.load_into(context, known)
        return context

    def load_into(self, context: ssl.SSLContext, *trusted: Identity) -> None:
        """Give a context the present certificate and identities to trust; new handshakes use them.

        Raises TrustUnusable.
        """
        try:
            context.load_cert_chain(self._folder / _LINK_KEY)
            for identity in trusted:
                context.load_verify_locations(cadata=identity.pem)
        except (OSError, ssl.SSLError) as error:
            raise TrustUnusable(self._folder, str(error)) from None

    def state(self) -> tuple[tuple[str, int], ...]:
        """Return something that differs once certificates or peers were changed, by whomever."""
        files = [self._folder / _LINK_KEY, *sorted((self._folder / _PEERS).glob("*.pem"))]
        return tuple((path.name, path.stat().st_mtime_ns) for path in files if path.exists())

    def _make_identity(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(_name_of(key.public_key()))
        builder = _builder(subject, subject, key, now - _CLOCKS_DIFFER, now + _IDENTITY_LASTS)
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        self._write(_IDENTITY_KEY, _private(key))
        self._write(_IDENTITY, certificate.public_bytes(serialization.Encoding.PEM))

    def _write(self, name: str, content: bytes) -> None:
        """Replace a file whole and durably, readable by its owner alone from the first byte on."""
        before = os.umask(0o077)
        try:
            write_durably(str(self._folder / name), content)
        finally:
            os.umask(before)

    def _check_private(self, path: Path) -> None:
        """Raise TrustUnusable if others may read what must be ours alone."""
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise TrustUnusable(path, f"others may read it; chmod go= {path}")


def host_name(server: str) -> str:
    """Return the name that a server's certificate holds. It is no name of the DNS: addresses may change.

    Not every name of a server can be part of such a name, as "a..b"; those are told by their digest.
    """
    name = server.lower().replace("_", "-")
    if not all(_LABEL.fullmatch(label) for label in name.split(".")):
        name = f"x-{hashlib.sha256(server.encode()).hexdigest()[:32]}"
    return f"{name}.recorder-sync.invalid"


def issuer_of(shown: object) -> str:
    """Return the name of the identity that signed what `SSLSocket.getpeercert` returned; empty if it says none."""
    if isinstance(shown, dict):
        for part in shown.get("issuer", ()):
            for key, value in part:
                if key == "commonName":
                    return str(value)
    return ""


def paired_with(issuer: str, known: Mapping[str, str]) -> str:
    """Return which of the `known` servers it is whose identity is called `issuer`. Raises PeerRefused."""
    peer = known.get(issuer)
    if peer is None:
        raise PeerRefused("this server", "the certificate shown belongs to no server it is paired with")
    return peer


def _context(kind: int) -> ssl.SSLContext:
    context = ssl.SSLContext(kind)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    return context


def _name_of(key: ec.EllipticCurvePublicKey) -> str:
    point = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"recorder-sync {hashlib.sha256(point).hexdigest()[:40]}"


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begins: datetime.datetime,
    ends: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
