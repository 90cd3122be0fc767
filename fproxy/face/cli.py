"""The ``fproxy`` command: the filtered proxy when no command is named, and the commands beside it."""

import logging
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import click

from fproxy.core.loopback import is_loopback
from fproxy.core.market import Market
from fproxy.core.urls import redacted_url
from fproxy.face.exposure import exposed_files, exposed_keys, unencrypted
from fproxy.face.keys_command import keys as keys_command
from fproxy.face.keys_file import new_key
from fproxy.face.logs import configure_logging, dropped_lines, set_log_level
from fproxy.face.settings.built import (
    Values,
    aggregator_settings,
    filled,
    filtered_proxy_settings,
    firehose_settings,
    server_settings,
    simulator_settings,
)
from fproxy.face.settings.options import given_flags, settings_of
from fproxy.face.settings.sources import known_settings, read_again, unknown_settings
from fproxy.face.tail_settings import DEMO_KEY, tail_flags, tail_settings
from fproxy.face.take_over_refusals import check_take_over, refuse_take_over
from fproxy.metrics import Metrics
from fproxy.roles.market_settings import RoleSettings, settings_of_market
from fproxy.roles.settings import FilteredProxySettings, FirehoseSettings, ServerSettings

if TYPE_CHECKING:
    from fproxy.face.admin_local import ServingRole
    from fproxy.face.chain import Ports
    from fproxy.face.file_watch import Watch
    from fproxy.face.keys_watch import KeysWatch

log = logging.getLogger(__name__)

MAX_PORT = 65535

DEFAULT_COMMAND = "proxy"
"""The command that runs when the command line names none."""


class CommandOrProxy(click.Group):
    """A group of commands in which options without a command belong to the filtered proxy."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command's name before arguments that start with one of its options, or are none."""
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "-h", "--version")):
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write both ways to call the program."""
        formatter.write_usage(ctx.command_path, "[OPTIONS]               run the filtered proxy")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGUMENTS]     run one of the commands below")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the filtered proxy's options."""
        self.format_commands(ctx, formatter)
        proxy = self.commands[DEFAULT_COMMAND]
        with click.Context(proxy, info_name=ctx.info_name) as proxy_ctx:
            records = [record for option in proxy.params if (record := option.get_help_record(proxy_ctx))]
        own = [record for option in self.get_params(ctx) if (record := option.get_help_record(ctx))]
        with formatter.section("Options of the filtered proxy"):
            formatter.write_dl(records)
        with formatter.section("Other options"):
            formatter.write_dl(own)


class ProxyCommand(click.Command):
    """The filtered proxy's command, which knows the usual mistake: its options before a command's name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; when one is left over that names a command, say where it belongs."""
        given = list(args)  # Parsing empties the list.
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            misplaced = next((argument for argument in given if argument in fproxy.commands), None)
            if misplaced is None or not error.message.startswith("Got unexpected extra"):
                raise
            example = f"{ctx.find_root().command_path} {misplaced} [OPTIONS]"
            raise click.UsageError(
                f"a command comes first and its options after it: {example}", ctx
            ) from error


def begin(values: Values) -> None:
    """Configure logging as a command's values say, and warn of settings that nothing reads."""
    configure_logging(values["log_level"], values["log_format"])
    context = click.get_current_context()
    for sentence in (*unknown_settings(context), *exposed_files(context, values)):
        log.warning("%s", sentence)


def warn_if_open(server: ServerSettings, values: Values) -> None:
    """Warn that a server accepts any key, unless somebody asked for just that."""
    if not server.client_keys and not values["client_keys"] and not values.get("keys_file"):
        log.warning(
            "No key is set: any client on this machine is served. FPROXY_CLIENT_KEYS sets the keys to accept"
        )
    for sentence in exposed_keys(click.get_current_context(), server, values):
        log.warning("%s", sentence)


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


def require_vendor_key(settings: FirehoseSettings) -> None:
    """Refuse to connect to another machine's market without a key.

    Raises:
        click.UsageError: there is no key, and a market is not a simulated one on this machine.
    """
    for url in urls_of(settings, "vendor_url"):
        if not settings.polygon_api_key and not is_loopback(urlsplit(url).hostname or ""):
            raise click.UsageError(
                f"POLYGON_API_KEY is not set, and {redacted_url(url)} wants a key (fproxy demo needs none)"
            )


def urls_of(settings: RoleSettings, field: str) -> Iterator[str]:
    """Yield a URL of each of a role's markets.

    Args:
        settings: what the role is told.
        field: the field that has the URL.
    """
    for market in settings.markets:
        yield getattr(settings_of_market(settings, market), field)


def names_of(markets: Iterable[Market]) -> str:
    """Return the names of markets, as log lines show them."""
    return ", ".join(market.name for market in markets)


def with_handed_socket(values: dict[str, Any]) -> dict[str, Any]:
    """Return a command's values with the listening socket that the service manager handed over, where it did.

    Raises:
        click.UsageError: what was handed over is not one listening TCP socket.
    """
    from fproxy.shell.socket_activation import SocketActivationError, take_socket

    try:
        listening = take_socket(os.environ)
    except SocketActivationError as error:
        raise click.UsageError(str(error)) from error
    if listening is None:
        return values
    host, port = listening.getsockname()[:2]
    return {**values, "host": host, "port": port, "listening": listening}


def refuse_handed_socket(what: str) -> None:
    """Refuse a listening socket of the service manager's where nothing would use it.

    Raises:
        click.UsageError: one was handed over.
    """
    from fproxy.shell.socket_activation import is_handed_over

    if is_handed_over(os.environ):
        raise click.UsageError(
            f"{what} cannot use the socket that LISTEN_FDS announces: run each role by itself"
        )


def check_workers(values: Values) -> None:
    """Refuse several workers where they cannot be had.

    Raises:
        click.UsageError: the system cannot spread connections over processes.
    """
    from fproxy.shell.port_reservation import spreads_connections

    if not spreads_connections():
        raise click.UsageError(
            f"{values['workers']} workers (FPROXY_WORKERS) need a system that spreads the connections to one port over "
            "processes, as Linux does; this one does not"
        )


def chain_ports(values: Values) -> "Ports":
    """Return where the roles of a chain listen, from the values of ``fproxy stack`` or ``fproxy demo``."""
    from fproxy.face.chain import Ports, chosen_port

    return Ports(
        proxy=chosen_port(values["port"]),
        aggregator=chosen_port(values["aggregator_port"]),
        firehose=chosen_port(values["firehose_port"]),
    )


def finish(main: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    """Run ``main`` on an event loop of its own and exit with the status that it returns."""
    from fproxy.face.event_loop import run

    sys.exit(run(main()))


def tell_chosen_port(port: int) -> None:
    """Log the port that the system chose for a server."""
    log.info("Now listening on port %d", port)


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


@click.group(
    cls=CommandOrProxy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Every option is also an environment variable, and a line NAME=value in the file .env of the "
    "directory that fproxy is started in. A flag outranks the environment, which outranks the file.",
)
@click.version_option(package_name="fproxy", prog_name="fproxy", message="%(prog)s %(version)s")
def fproxy() -> None:
    """One stream of market data in, any number of clients out, each with just the topics it asked for.

    The filtered proxy merges a firehose and a millisecond aggregator, and serves clients of Polygon.io
    (Massive) unmodified on ws://HOST:PORT/stocks; with --markets on the paths of other markets, too.
    """


@fproxy.command(DEFAULT_COMMAND, cls=ProxyCommand, short_help="The filtered proxy (also without this name).")
@settings_of("proxy")
@click.pass_context
def proxy(ctx: click.Context, /, **values: Any) -> None:
    """Run the filtered proxy until Ctrl-C."""
    begin(values)
    if values["workers"] > 1:
        refuse_handed_socket("--workers (FPROXY_WORKERS)")
        refuse_take_over("--workers", values)
        check_workers(values)
    watch = keys_watch(values)
    values = {**with_handed_socket(values), "named_keys": watch and watch.keys}
    settings = filtered_proxy_settings(values)
    check_take_over(values, settings)
    warn_if_open(settings.server, values)
    log.info("Starting Polygon Filtered WebSocket Proxy")
    for url in urls_of(settings, "firehose_url"):
        log.info("Firehose URL: %s", redacted_url(url))
    for url in urls_of(settings, "aggregator_url"):
        log.info("Ms-Aggregator URL: %s", redacted_url(url))
    log.info("Starting %s proxy on port %d", names_of(settings.markets), settings.server.port)
    if values["workers"] > 1:
        from fproxy.face.admin import admin_settings
        from fproxy.face.workers import run_workers

        admin = admin_settings(values, ctx)
        finish(lambda: run_workers(values, admin, given_flags(ctx), tell_chosen_port))
    serve_filtered_proxy(values, settings, watch)


@fproxy.command(short_help="The vendor's whole stream, for any number of clients.")
@settings_of("firehose")
def firehose(**values: Any) -> None:
    """Run the firehose: one connection to the vendor for each market, whose every message goes to every client.

    It listens on port 8767 and is what the filtered proxy and the ms-aggregator connect to.
    """
    begin(values)
    refuse_take_over("firehose", values)
    values = with_handed_socket(values)
    settings = firehose_settings(values)
    require_vendor_key(settings)
    from fproxy.roles.firehose import Firehose

    warn_if_open(settings.server, values)
    log.info("Starting Polygon Firehose Proxy")
    for url in urls_of(settings, "vendor_url"):
        log.info("Polygon URL: %s", redacted_url(url))
    log.info("Starting firehose on port %d", settings.server.port)
    serve_role("firehose", values, lambda metrics: Firehose(settings, metrics))


@fproxy.command(short_help="Bars of 1 to 60000 milliseconds, made of the firehose's trades.")
@settings_of("aggregator")
def aggregator(**values: Any) -> None:
    """Run the ms-aggregator: bars of any interval from 1 to 60000 ms, beside the vendor's own bars.

    It listens on port 8768 and is what the filtered proxy connects to for bars.
    """
    begin(values)
    refuse_take_over("aggregator", values)
    values = with_handed_socket(values)
    settings = aggregator_settings(values)
    from fproxy.roles.aggregator import Aggregator

    warn_if_open(settings.server, values)
    log.info("Starting Ms-Aggregator")
    for url in urls_of(settings, "firehose_url"):
        log.info("Firehose URL: %s", redacted_url(url))
    log.info("Starting ms-aggregator on port %d", settings.server.port)
    serve_role("aggregator", values, lambda metrics: Aggregator(settings, metrics))


@fproxy.command(short_help="A simulated market that speaks the vendor's protocol.")
@settings_of("sim")
def sim(**values: Any) -> None:
    """Run a simulated market with the vendor's protocol and manners, on port 8766.

    Trades, quotes, limits and bars of some hundreds of symbols walk at random, reproducibly. It accepts any
    key unless --client-keys names some.
    """
    begin(values)
    refuse_take_over("sim", values)
    values = with_handed_socket(values)
    settings = simulator_settings(values)
    from fproxy.roles.simulator import Simulator

    log.info("Starting simulated market on port %d", settings.server.port)
    serve_role("simulator", values, lambda metrics: Simulator(settings, metrics))


@fproxy.command(short_help="The whole system on a simulated market, to try it without an account.")
@settings_of("demo")
@click.pass_context
def demo(ctx: click.Context, /, **values: Any) -> None:
    """Run a simulated market and the whole system behind it, for clients on this machine with any key.

    Four processes: market, firehose, ms-aggregator and filtered proxy. Ctrl-C stops them all.
    """
    begin(values)
    refuse_handed_socket("fproxy demo")
    from fproxy.face.admin import admin_settings

    refuse_take_over("demo", values)
    from fproxy.face.chain import chosen_port, demo_children, demo_text, run_children

    ports, simulator_port = chain_ports(values), chosen_port(values["simulator_port"])
    children = demo_children(
        ports,
        simulator_port,
        markets=values["markets"],
        simulation=[f"--{name}={values[name]}" for name in ("rate", "symbols", "seed")],
        log_level=values["log_level"],
        settings=known_settings(),
    )
    admin = admin_settings(values, ctx)
    text = partial(demo_text, ports.proxy, values["markets"])
    finish(lambda: run_children(children, admin, on_ready=lambda: click.echo(text())))


@fproxy.command(short_help="Firehose, aggregator and filtered proxy together, behind the vendor.")
@settings_of("stack")
@click.pass_context
def stack(ctx: click.Context, /, **values: Any) -> None:
    """Run firehose, ms-aggregator and filtered proxy together with one vendor key.

    Clients connect to the proxy; the other two serve this machine only. A process that dies is started again.
    Every setting of the three is an option here, too.
    """
    begin(values)
    refuse_handed_socket("fproxy stack")
    keys_watch(values)  # a file that cannot be used is refused here, rather than by a role that cannot start
    refuse_take_over("stack", values)
    proxy_server = server_settings(values)
    require_vendor_key(firehose_settings(values))
    from fproxy.face.admin import admin_settings
    from fproxy.face.chain import run_children, stack_children

    warn_if_open(proxy_server, values)
    ports = chain_ports(values)
    admin = admin_settings(values, ctx)
    children = stack_children(
        ports,
        host=proxy_server.host,
        flags=given_flags(ctx),
        internal_key=values["internal_key"] or new_key(),
        drain=values["drain"],
    )
    finish(
        lambda: run_children(
            children, admin, on_ready=lambda: log.info("Clients connect to port %d", ports.proxy)
        )
    )


fproxy.add_command(keys_command)


@fproxy.command(
    short_help="What works and what does not, in plain words.",
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "help_option_names": ["--help"],
    },
)
@click.pass_context
def check(ctx: click.Context) -> None:
    """Check what a command would need, with the settings that it would have: fproxy check [COMMAND] [ITS OPTIONS].

    COMMAND is stack (when none is named), proxy, firehose or aggregator. The name of each upstream is resolved, it is
    connected to, and the key is tried; the clock, the port and the limit of files are looked at. The exit status is 1
    when something does not work.
    """
    from fproxy.face.check_command import check_plan, command_values, run_check

    command, values = command_values(fproxy, ctx, ctx.args)
    configure_logging("error", values["log_format"])
    plan = check_plan(command, values)
    finish(lambda: run_check(plan))


@fproxy.command(short_help="Print the events of some topics as they come.")
@click.argument("topics", nargs=-1, required=True)
@tail_flags
@settings_of("tail")
def tail(**values: Any) -> None:
    """Print the events of TOPICS as they come, until Ctrl-C, and count them at the end.

    TOPICS are separated by commas or spaces: T.AAPL (trades), Q.* (all quotes), A.AAPL and AM.AAPL (second
    and minute bars), 100Ms.AAPL (bars of 100 milliseconds), '*' (everything but millisecond bars). With
    --market crypto they are those of crypto: XT.BTC-USD.
    """
    begin(values)
    from fproxy.face.tail import Tail

    settings = tail_settings(values)
    if settings.key != DEMO_KEY:
        for sentence in unencrypted(click.get_current_context(), values):
            log.warning("%s", sentence)
    finish(Tail(settings).run)


@fproxy.command(short_help="What flows, to whom, and whether anything is wrong, in a terminal.")
@click.option("--once", is_flag=True, help="Show one state, with the rates of a second, and end.")
@settings_of("top")
def top(**values: Any) -> None:
    """Show what the admin pages tell, each second anew, until Ctrl-C."""
    begin(values)
    from fproxy.face.top import run_top

    finish(lambda: run_top(values["admin_url"], once=values["once"]))
