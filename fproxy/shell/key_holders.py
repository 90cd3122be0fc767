"""Which clients hold which key: how many may, and what becomes of them when the keys are changed."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from fproxy.core import control
from fproxy.core.client_key import ClientKey
from fproxy.core.client_keys import ClientKeys
from fproxy.core.status_replies import status_message, status_messages
from fproxy.metrics import Metrics
from fproxy.shell.log_throttle import LogThrottle
from fproxy.shell.work_steps import Steps

if TYPE_CHECKING:
    from fproxy.shell.client import Client

logger: Final = logging.getLogger("fproxy.server")

TOPICS_PER_STEP: Final = 500
"""How many topics of a client are looked at in one step: a fraction of a millisecond."""


class KeyHolders:
    """The clients that have authenticated, by the account of their key."""

    def __init__(self, keys: ClientKeys, metrics: Metrics, max_connections: int | None = None) -> None:
        """Begin with nobody.

        Args:
            keys: the keys that are accepted.
            metrics: where to count.
            max_connections: how many connections a key may have that does not say so itself; None for any number.
        """
        self._keys = keys
        self._metrics = metrics
        self._max_connections = max_connections
        self._clients: dict[str, dict[Client, None]] = {}  # of each account, as they came
        self._too_many_log = LogThrottle(logger, logging.WARNING)

    def joined(self, client: "Client", key: ClientKey) -> None:
        """A client has authenticated. A connection too many of its key costs that its oldest, as with the vendor."""
        clients = self._clients.setdefault(client.account, {})
        clients[client] = None
        if key.name:
            self._metrics.key_clients.labels(key.name).inc()
        self._keep_to_limit(clients, key)

    def left(self, client: "Client", key: ClientKey) -> None:
        """A client that had joined is gone or closing."""
        clients = self._clients[client.account]
        del clients[client]
        if not clients:
            del self._clients[client.account]
        if key.name:
            self._metrics.key_clients.labels(key.name).dec()
            if not clients and self._keys.holder(client.account) is None:
                self._metrics.key_clients.remove(key.name)

    def replace(self, named: Iterable[ClientKey]) -> Steps:
        """Accept these named keys from now on; return the work of applying that to the clients that are there."""
        self._keys.replace(named)
        return self._review()

    def _review(self) -> Steps:
        for account in tuple(self._clients):
            key = self._keys.holder(account)
            for client in tuple(self._clients.get(account, ())):
                if not client.authenticated:
                    continue
                if key is None or key.expired or not key.allows_market(client.market):
                    self._revoke(client, key)
                elif key != client.key:
                    yield from self._change(client, key)
                yield None
            if key is not None:
                self._keep_to_limit(self._clients.get(account, {}), key)

    def _revoke(self, client: "Client", key: ClientKey | None) -> None:
        if key is None:
            reason, text = "revoked", "the key is not accepted any more"
        elif key.expired:
            reason, text = "expired", "the key has expired"
        else:
            reason, text = "market", f"the key is not for {client.market} any more"
        self._metrics.revoked_clients.labels(reason).inc()
        logger.info("%s disconnected: %s", client.described, text)
        client.send_status(status_message(("auth_failed", text)))
        client.close(control.POLICY_VIOLATION, f"key {reason}")

    def _change(self, client: "Client", key: ClientKey) -> Steps:
        """Apply what a client's key allows now, and take from it what it does not allow any more."""
        name_before = client.key.name if client.key is not None else ""
        if name_before != key.name:
            if name_before:
                self._metrics.key_clients.labels(name_before).dec()
            if key.name:
                self._metrics.key_clients.labels(key.name).inc()
        client.use_key(key)
        if key.topics is None:
            return
        held = tuple(client.topics)
        for first in range(0, len(held), TOPICS_PER_STEP):
            if not client.authenticated:
                return
            lost = [
                topic for topic in held[first : first + TOPICS_PER_STEP] if not key.allows_topic(topic.text)
            ]
            if lost:
                client.unsubscribe(lost)
                statuses = (("error", f"{control.NOT_AUTHORIZED}: {topic.text}") for topic in lost)
                for message in status_messages(statuses):
                    client.send_status(message)
            yield None

    def _keep_to_limit(self, clients: "dict[Client, None]", key: ClientKey) -> None:
        limit = self._max_connections if key.max_connections is None else key.max_connections
        if limit is None:
            return
        open_clients = [client for client in clients if client.authenticated]
        for client in open_clients[: max(0, len(open_clients) - limit)]:
            self._metrics.refused_connections.labels("key").inc()
            self._too_many_log.log(
                "%s disconnected: its key has more than %d connections", client.described, limit
            )
            text = f"The key may have {limit} connections; a new one has come."
            client.send_status(status_message(("max_connections", text)))
            client.close(control.POLICY_VIOLATION, "too many connections of this key")
