"""Serving with a role as a command does: its metrics, its files that are read again, its end."""

import logging
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from fproxy.face.logs import dropped_lines, set_log_level
from fproxy.face.settings.built import Values, filled
from fproxy.face.settings.sources import read_again
from fproxy.metrics import Metrics
from fproxy.roles.settings import FilteredProxySettings

if TYPE_CHECKING:
    from fproxy.face.admin_local import ServingRole
    from fproxy.face.file_watch import Watch
    from fproxy.face.keys_watch import KeysWatch

log = logging.getLogger(__name__)


def finish(main: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    """Run ``main`` on an event loop of its own and exit with the status that it returns."""
    from fproxy.face.event_loop import run

    sys.exit(run(main()))


def tell_chosen_port(port: int) -> None:
    """Log the port that the system chose for a server."""
    log.info("Now listening on port %d", port)


def keys_watch(values: Values) -> "KeysWatch | None":
    """Return the watch over the keys file of a command's values; None where there is none.

    Raises:
        click.UsageError: the file cannot be used.
    """
    if not values.get("keys_file"):
        return None
    from fproxy.face.keys_watch import KeysWatch
    from fproxy.face.settings.toml_file import TomlFileError

    try:
        return KeysWatch(Path(values["keys_file"]))
    except TomlFileError as error:
        raise click.UsageError(str(error)) from error


def reload_settings(ctx: click.Context) -> None:
    """Read again what can be read again while the program runs, the log level. What is wrong is logged, no more."""
    try:
        level = read_again(ctx, "log_level")
    except (click.UsageError, ValueError) as error:
        log.error("SIGHUP: nothing was read again: %s", error)
        return
    set_log_level(level)
    log.info("SIGHUP: read again; the log level is %s", level)


def serve_role(
    kind: str,
    values: Values,
    make_role: Callable[[Metrics], "ServingRole"],
    on_ready: Callable[[], None] | None = None,
    watches: "Sequence[Watch]" = (),
) -> NoReturn:
    """Serve with a role, and its admin pages where they are wanted, until a signal; then exit.

    Args:
        kind: what the role is: ``proxy``, ``firehose``, ``aggregator`` or ``simulator``.
        values: the command line's values.
        make_role: called on the event loop with the metrics that the role is to count in.
        on_ready: called once the role has started.
        watches: what is kept up to date with files meanwhile.
    """
    from prometheus_client import disable_created_metrics

    from fproxy.face.admin import admin_settings
    from fproxy.face.admin_local import with_local_admin
    from fproxy.face.file_limit import raise_file_limit
    from fproxy.face.file_watch import regularly
    from fproxy.face.run import STOP_TIMEOUT, serve
    from fproxy.face.tls_watch import TlsWatch
    from fproxy.shell.tls import ServerTls

    raise_file_limit()  # before the role: its server reads how many clients it can have
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a sample beside each counter that says when it was made doubles the page

    context = click.get_current_context()
    admin = admin_settings(values, context)

    async def main() -> int:
        metrics = Metrics()
        dropped_lines.watch(metrics.dropped_log_lines.inc)
        role = make_role(metrics)
        watched = list(watches)
        tls = TlsWatch(filled(ServerTls(), values)) if values["tls_cert"] else None

        def ready() -> None:
            if tls is not None:
                tls.apply = role.server.replace_tls
                watched.append(tls)
            if values["port"] == 0:
                tell_chosen_port(role.port)
            if on_ready is not None:
                on_ready()

        def reload() -> None:
            reload_settings(context)
            for watch in watched:
                watch.read_again()

        program = with_local_admin(role, admin, kind=kind, metrics=metrics)
        with regularly(watched):
            return await serve(
                program,
                stop_at_eof=values["stop_at_eof"],
                on_ready=ready,
                on_reload=reload,
                stop_timeout=STOP_TIMEOUT + values["drain"] + program.more_stop_time,
                until=program.until_ended,
            )

    finish(main)


def serve_filtered_proxy(
    values: Values,
    settings: FilteredProxySettings,
    keys: "KeysWatch | None",
    on_ready: Callable[[], None] | None = None,
) -> NoReturn:
    """Serve with the filtered proxy until a signal; then exit. See :func:`serve_role`.

    Args:
        values: the command line's values.
        settings: the role's settings.
        keys: the watch over its keys file, where it has one.
        on_ready: called once it has started.
    """
    from fproxy.face.succession import SucceedingProxy, SuccessionSettings, take_over_folder

    succession = SuccessionSettings(
        take_over=values["take_over"],
        folder=take_over_folder(values["take_over_dir"], os.environ),
        time_limit=values["take_over_timeout"],
        offer=not values["stop_at_eof"],  # a child is started again by its parent alone
    )

    def make(metrics: Metrics) -> SucceedingProxy:
        role = SucceedingProxy(settings, metrics, succession)
        if keys is not None:
            keys.apply = role.replace_keys
        return role

    serve_role("proxy", values, make, on_ready, [keys] if keys is not None else [])
