"""The ``fproxy`` command: the filtered proxy when no command is named, and the commands beside it."""

import logging
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from fproxy.core.market import Market
from fproxy.core.urls import redacted_url
from fproxy.face.exposure import unencrypted
from fproxy.face.keys_command import keys as keys_command
from fproxy.face.keys_file import new_key
from fproxy.face.logs import configure_logging
from fproxy.face.serving import finish, keys_watch, serve_filtered_proxy, serve_role, tell_chosen_port
from fproxy.face.settings.built import (
    Values,
    aggregator_settings,
    filtered_proxy_settings,
    firehose_settings,
    server_settings,
    simulator_settings,
)
from fproxy.face.settings.options import given_flags, settings_of
from fproxy.face.settings.sources import known_settings
from fproxy.face.start_checks import (
    begin,
    check_workers,
    refuse_handed_socket,
    require_vendor_key,
    urls_of,
    warn_if_open,
    with_handed_socket,
)
from fproxy.face.tail_settings import DEMO_KEY, tail_flags, tail_settings
from fproxy.face.take_over_refusals import check_take_over, refuse_take_over

if TYPE_CHECKING:
    from fproxy.face.chain import Ports

log = logging.getLogger(__name__)

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


def names_of(markets: Iterable[Market]) -> str:
    """Return the names of markets, as log lines show them."""
    return ", ".join(market.name for market in markets)


def chain_ports(values: Values) -> "Ports":
    """Return where the roles of a chain listen, from the values of ``fproxy stack`` or ``fproxy demo``."""
    from fproxy.face.chain import Ports, chosen_port

    return Ports(
        proxy=chosen_port(values["port"]),
        aggregator=chosen_port(values["aggregator_port"]),
        firehose=chosen_port(values["firehose_port"]),
    )


@click.group(
    cls=CommandOrProxy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Every option is also an environment variable, a line NAME=value in the file .env of the directory that "
    "fproxy is started in, and a key of the TOML file that --config names. A flag outranks the environment, which "
    "outranks .env, which outranks that file.",
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

    On a terminal prices are green where they are above the last one of their symbol, red where below, unless NO_COLOR
    is set.
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
    """Show what the admin pages tell, each second anew, until Ctrl-C; with the columns that there is room for."""
    begin(values)
    from fproxy.face.top import run_top

    finish(lambda: run_top(values["admin_url"], once=values["once"]))
