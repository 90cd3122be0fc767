"""What of a client's change takes long is done beforehand, in steps, while others are served."""

import json

from server_harness import RecordingRole, ask, joined_client, serving, soon, statuses

from fproxy.core.topics import Topic
from fproxy.shell.client import Client


class PreparingRole(RecordingRole):
    """Has much to do before each change of topics of quotes, until a test says that it is done."""

    def __init__(self) -> None:
        super().__init__()
        self.is_done = False

    def prepare_change(self, client: Client, topics: list[Topic], *, subscribes: bool) -> bool:
        if topics[0].event_type != "Q" or self.is_done:
            return False
        self._called(client, "prepare", subscribes, *(topic.text for topic in topics))
        return True


async def test_others_are_served_while_a_change_is_prepared_and_then_it_is_made() -> None:
    role = PreparingRole()
    async with serving(role) as server, joined_client(server) as one, joined_client(server) as other:
        await one.send(json.dumps({"action": "subscribe", "params": "Q.*"}))
        await role.wait_for("prepare", 10)
        assert await ask(other, "subscribe", "T.A") == [("success", "subscribed to: T.A")]
        assert ("prepare", True, "Q.*") in role.calls
        assert ("subscribe", "Q.*") not in role.calls
        role.is_done = True
        assert await statuses(one) == [("success", "subscribed to: Q.*")]
        assert role.calls[-1] == ("subscribe", "Q.*")
        role.is_done = False
        await one.send(json.dumps({"action": "unsubscribe", "params": "Q.*"}))
        prepared = role.count("prepare")
        await role.wait_for("prepare", prepared + 10)
        assert role.calls[-1] == ("prepare", False, "Q.*")
        role.is_done = True
        assert await statuses(one) == [("success", "unsubscribed to: Q.*")]


async def test_a_client_that_is_closed_meanwhile_gets_no_change() -> None:
    role = PreparingRole()
    async with serving(role) as server, joined_client(server) as client, joined_client(server) as other:
        await client.send(json.dumps({"action": "subscribe", "params": "Q.*"}))
        await role.wait_for("prepare", 3)
        role.clients[0].close(1000, "enough")
        await soon(client.wait_closed())
        prepared = role.count("prepare")
        assert await ask(other, "subscribe", "T.A") == [("success", "subscribed to: T.A")]
        assert role.count("prepare") == prepared
        assert ("subscribe", "Q.*") not in role.calls
