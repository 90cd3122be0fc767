"""TLS: the certificates that a server shows and asks for, and those of connections upstream."""

import ssl
from dataclasses import dataclass
from pathlib import Path


class TlsError(ValueError):
    """Files for TLS cannot be used; the message says which, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """The files of a server's TLS, in PEM, empty for none; or what a program has made of its own.

    Attributes:
        tls_cert: the certificate, with those that lead to its authority.
        tls_key: its key.
        tls_client_ca: the authorities of clients' certificates; clients without one are not let in then.
        tls_context: a context that a program has made itself, in place of these files; None to make one of them.
    """

    tls_cert: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    tls_context: ssl.SSLContext | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that there are."""
        return tuple(Path(name) for name in (self.tls_cert, self.tls_key, self.tls_client_ca) if name)

    def context(self) -> ssl.SSLContext | None:
        """Read the files; return what a server needs for TLS 1.2 or later, or None for a server without TLS.

        Raises:
            TlsError: they cannot be used.
        """
        if self.tls_context is not None:
            return self.tls_context
        if not self.paths:
            return None
        if not self.tls_cert or not self.tls_key:
            raise TlsError("TLS needs both a certificate (FPROXY_TLS_CERT) and its key (FPROXY_TLS_KEY)")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _load_certificate(context, self.tls_cert, self.tls_key)
        if self.tls_client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            _load_authorities(context, self.tls_client_ca)
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """The files of the TLS of connections upstream, in PEM; empty for none.

    Attributes:
        upstream_ca: the authorities to trust in place of the system's.
        upstream_cert: the certificate to show, where the upstream asks for one.
        upstream_key: its key.
    """

    upstream_ca: str = ""
    upstream_cert: str = ""
    upstream_key: str = ""

    @property
    def names_files(self) -> bool:
        """Whether there are any."""
        return bool(self.upstream_ca or self.upstream_cert or self.upstream_key)

    def context(self) -> ssl.SSLContext:
        """Read the files; return what a connection needs to verify its server, in TLS 1.2 or later.

        Raises:
            TlsError: they cannot be used.
        """
        context = (
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if self.upstream_ca else ssl.create_default_context()
        )
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.upstream_ca:
            _load_authorities(context, self.upstream_ca)
        if bool(self.upstream_cert) != bool(self.upstream_key):
            raise TlsError(
                "TLS to upstreams needs both a certificate (FPROXY_UPSTREAM_CERT) and its key (FPROXY_UPSTREAM_KEY)"
            )
        if self.upstream_cert:
            _load_certificate(context, self.upstream_cert, self.upstream_key)
        return context


def _load_certificate(context: ssl.SSLContext, cert: str, key: str) -> None:
    for name in (cert, key):
        _check_readable(name)
    try:
        context.load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "unknown format"
        raise TlsError(
            f"{cert} and {key} are not a certificate and its key, without a password, in PEM: {_words(reason)}"
        ) from None


def _load_authorities(context: ssl.SSLContext, name: str) -> None:
    _check_readable(name)
    try:
        context.load_verify_locations(name)
    except ssl.SSLError as error:
        raise TlsError(
            f"{name} holds no certificates in PEM: {_words(error.reason or 'unknown format')}"
        ) from None


def _check_readable(name: str) -> None:
    try:
        with Path(name).open("rb"):
            pass
    except OSError as error:
        raise TlsError(f"cannot read {name}: {error.strerror}") from None


def _words(reason: str) -> str:
    return reason.replace("_", " ").lower()
