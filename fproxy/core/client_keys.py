"""The keys that clients authenticate with: who is let in, and who is who, without ever giving a key away."""

import hmac
import secrets
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

_DIGEST_BYTES: Final = 16


class ClientKeys:
    """The keys that a server accepts from its clients; without any key it is open, and accepts every key.

    Only salted digests are kept, so that neither a ``repr`` nor a look at the object gives a key away. All of
    them are compared for every key offered, each in constant time: how long an answer takes says nothing
    about the keys.
    """

    __slots__ = ("_digests", "_salt")

    def __init__(self, keys: Iterable[str] = ()) -> None:
        """Keep the digests of ``keys``.

        Raises:
            ValueError: one of the keys is empty or blank.
        """
        self._salt = secrets.token_bytes(32)
        accepted = list(keys)
        if not all(key.strip() for key in accepted):
            raise ValueError("an empty client key would let in clients that send none")
        self._digests = tuple(self._digest(key) for key in accepted)

    def __repr__(self) -> str:
        return f"<ClientKeys: {'open' if self.is_open else len(self._digests)}>"

    @property
    def is_open(self) -> bool:
        """Whether every key is accepted."""
        return not self._digests

    def accepts(self, key: str) -> bool:
        """Return whether a client that sends ``key`` is let in."""
        digest = self._digest(key)
        accepted = self.is_open
        for known in self._digests:
            accepted |= hmac.compare_digest(known, digest)
        return accepted

    def account(self, key: str) -> str:
        """Return a name for the holder of ``key``: no secret, and the same each time for this object."""
        return self._digest(key).hex()

    def _digest(self, key: str) -> bytes:
        # A key with a lone surrogate cannot be right, but must not raise either.
        encoded = key.encode("utf-8", "surrogatepass")
        return blake2b(encoded, digest_size=_DIGEST_BYTES, key=self._salt).digest()
