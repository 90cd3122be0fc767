"""A reserved port, against the sockets of those who may and those who may not listen on it."""

import socket

import pytest

from fproxy.shell.port_reservation import PortReservation, spreads_connections
from fproxy.shell.server import ServerStartError

pytestmark = pytest.mark.skipif(not spreads_connections(), reason="ports are not shared here")


def listener(port: int, *, reuse_port: bool) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), reuse_port=reuse_port)


def test_several_may_share_a_reserved_port() -> None:
    with PortReservation("127.0.0.1", 0) as reservation:
        assert reservation.port
        with listener(reservation.port, reuse_port=True), listener(reservation.port, reuse_port=True):
            # One who listens alone is refused, and so is one who would reserve it, too.
            with pytest.raises(OSError, match="in use"):
                listener(reservation.port, reuse_port=False)
            with pytest.raises(ServerStartError, match=f"^port {reservation.port} on 127.0.0.1 is in use$"):
                PortReservation("127.0.0.1", reservation.port)


def test_it_takes_no_connections() -> None:
    with PortReservation("127.0.0.1", 0) as reservation, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", reservation.port))


@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_port_that_somebody_listens_on_is_refused(reuse_port: bool) -> None:
    with listener(0, reuse_port=reuse_port) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(ServerStartError, match=f"^port {port} on 127.0.0.1 is in use$"):
            PortReservation("127.0.0.1", port)
    with PortReservation("127.0.0.1", port) as reservation:
        assert reservation.port == port


def test_a_name_stands_for_all_of_its_addresses() -> None:
    with PortReservation("localhost", 0) as reservation:
        port = reservation.port
        with listener(port, reuse_port=True), pytest.raises(ServerStartError, match="in use"):
            PortReservation("localhost", port)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("203.0.113.1", "^cannot listen on 203.0.113.1: not an address of this machine$"),
        ("no.such.name.invalid", "^cannot listen on no.such.name.invalid: not an address or a name"),
    ],
)
def test_a_host_of_another_machine_is_refused(host: str, why: str) -> None:
    with pytest.raises(ServerStartError, match=why):
        PortReservation(host, 0)
