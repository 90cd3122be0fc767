"""The keys that clients authenticate with: who is let in, and who is who, without ever giving a key away."""

import hmac
import secrets
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from fproxy.core.client_key import ClientKey, key_digest

_ACCOUNT_BYTES: Final = 16
_SALT_BYTES: Final = 32

_ANY: Final = ClientKey(digest=b"")
"""What every key is to a server that is open."""


def new_salt() -> bytes:
    """Return a new salt for the names of accounts."""
    return secrets.token_bytes(_SALT_BYTES)


class ClientKeys:
    """The keys that a server accepts from its clients; without any key it is open, and accepts every key.

    Only digests are kept, so that neither a ``repr`` nor a look at the object gives a key away. A key offered is looked
    up by a digest of its digest, salted anew for each object: how long an answer takes says nothing about the keys.
    """

    __slots__ = ("_always", "_has_file", "_keys", "_salt")

    def __init__(
        self, keys: Iterable[str] = (), named: Iterable[ClientKey] | None = None, *, salt: bytes = b""
    ) -> None:
        """Keep the digests of keys.

        Args:
            keys: keys that allow everything, for as long as the object lives.
            named: keys that may be replaced, each with what it allows; None for none. With none of them, but not None,
                the object is not open.
            salt: of the names of accounts, when they are to be those of another process; empty for a new one.

        Raises:
            ValueError: one of the keys is empty or blank, or the salt is longer than 64 bytes.
        """
        self._salt = salt or new_salt()
        accepted = list(keys)
        if not all(key.strip() for key in accepted):
            raise ValueError("an empty client key would let in clients that send none")
        self._always = tuple(ClientKey(digest=key_digest(key)) for key in accepted)
        self._has_file = named is not None
        self._keys: dict[str, ClientKey] = {}
        self.replace(named or ())

    def __repr__(self) -> str:
        return f"<ClientKeys: {'open' if self.is_open else len(self._keys)}>"

    @property
    def is_open(self) -> bool:
        """Whether every key is accepted."""
        return not self._always and not self._has_file

    def replace(self, named: Iterable[ClientKey]) -> None:
        """Accept these named keys in place of those before; the others stay."""
        self._keys = {self._account(key.digest): key for key in (*named, *self._always)}

    def accepts(self, key: str) -> bool:
        """Return whether a client that sends ``key`` is let in."""
        return self.find(key) is not None

    def find(self, key: str) -> ClientKey | None:
        """Return what is known of a key, expired or not; None when it is not accepted."""
        if self.is_open:
            return _ANY
        digest = key_digest(key)
        known = self._keys.get(self._account(digest))
        return known if known is not None and hmac.compare_digest(known.digest, digest) else None

    def holder(self, account: str) -> ClientKey | None:
        """Return what is known now of the key of an account; None when it is not accepted any more."""
        return self._keys.get(account)

    def account(self, key: str) -> str:
        """Return a name for the holder of ``key``: no secret, and the same each time for this object."""
        return self._account(key_digest(key))

    def _account(self, digest: bytes) -> str:
        return blake2b(digest, digest_size=_ACCOUNT_BYTES, key=self._salt).hexdigest()
