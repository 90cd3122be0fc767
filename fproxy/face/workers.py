"""``fproxy --workers N``: several filtered proxies on one port, each a process with upstream connections of its own.

The kernel spreads clients over the workers as they connect. This process serves nobody: it holds the port, starts the
workers (``worker.py``), starts those again that die, and makes one log of theirs.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fproxy.face.admin import AdminSettings
from fproxy.face.admin_joined import children_with_admin, process_sockets, with_joined_admin
from fproxy.face.chain import own_path
from fproxy.face.relayed_log import CHILD_ENVIRONMENT, RelayedLog
from fproxy.face.run import serve
from fproxy.face.settings.built import Values
from fproxy.face.supervisor import STOP_TIMEOUT, Child, Supervisor
from fproxy.shell.port_reservation import PortReservation
from fproxy.shell.server import ServerStartError

log = logging.getLogger(__name__)

READY_LINE: Final = "fproxy worker is ready"
"""What a worker prints once it serves."""


class Workers:
    """Runs processes side by side from ``start`` to ``stop``, and logs what they say under their names.

    Args:
        children: what to run.
    """

    def __init__(self, children: Sequence[Child]) -> None:
        report = RelayedLog().report
        self._supervisors = [Supervisor([child], report) for child in children]

    async def start(self) -> None:
        """Start all of them at once, and wait until each serves.

        Raises:
            fproxy.face.supervisor.ChildFailedError: one could not start; the others run on until ``stop``.
        """
        starts = [asyncio.ensure_future(supervisor.start()) for supervisor in self._supervisors]
        try:
            await asyncio.gather(*starts)
        finally:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)

    def reload(self) -> None:
        """Have all of them read again what can be read again."""
        for supervisor in self._supervisors:
            supervisor.reload()

    async def stop(self) -> None:
        """Stop all of them at once, and wait until they have."""
        await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors))


def worker_children(values: Values, port: int, flags: Mapping[str, str]) -> tuple[Child, ...]:
    """Return the workers, who find their settings where they always do.

    Args:
        values: the filtered proxy's values from the command line.
        port: the port that they share.
        flags: settings given as flags, as environment variables.
    """
    return tuple(
        Child(
            name=f"worker {number}",
            command=(sys.executable, "-P", "-m", "fproxy.face.worker", str(number)),
            host=values["host"],
            port=port,
            ready_line=READY_LINE,
            stop_timeout=STOP_TIMEOUT + values["drain"],
            answers=True,
            environment={
                **own_path(),
                **flags,
                "FPROXY_HOST": values["host"],
                "FILTERED_PROXY_PORT": str(port),
                **CHILD_ENVIRONMENT,
                "FPROXY_WORKERS": "",
                "FPROXY_STOP_AT_EOF": "1",
            },
        )
        for number in range(1, values["workers"] + 1)
    )


async def run_workers(
    values: Values, admin: AdminSettings, flags: Mapping[str, str], tell_chosen_port: Callable[[int], None]
) -> int:
    """Run the workers until a signal asks to stop.

    Args:
        values: the filtered proxy's values from the command line.
        admin: where the admin pages of all are served.
        flags: settings given as flags, as environment variables.
        tell_chosen_port: called once all serve on a port that the system chose.

    Returns:
        The exit status: 0 after a signal, 1 when the port is taken or a worker cannot start.
    """
    try:
        with (
            PortReservation(values["host"], values["port"]) as reservation,
            process_sockets(
                {f"worker {number}": "proxy" for number in range(1, values["workers"] + 1)}
            ) as sockets,
        ):

            def ready() -> None:
                if values["port"] == 0:
                    tell_chosen_port(reservation.port)

            children = worker_children(values, reservation.port, flags)
            workers = Workers(children_with_admin(children, sockets, admin))
            return await serve(
                with_joined_admin(workers, admin, sockets),
                stop_at_eof=values["stop_at_eof"],
                on_ready=ready,
                on_reload=workers.reload,
                stop_timeout=STOP_TIMEOUT + values["drain"] + 1,
            )
    except ServerStartError as error:
        log.error("%s", error)
        return 1
