"""``fproxy check [COMMAND]``: reads the settings that a command would read, and prints what works and what does not."""

import sys
from typing import Any, Final

import click

from fproxy.core.redaction import redact
from fproxy.face.doctor import CheckedUpstream, CheckPlan, Verdict, check
from fproxy.face.settings.built import (
    Values,
    aggregator_settings,
    filtered_proxy_settings,
    firehose_settings,
)
from fproxy.roles.market_settings import settings_of_market

CHECKED_COMMANDS: Final = ("stack", "proxy", "firehose", "aggregator")
"""What can be checked; the first when nothing is named."""

_WIDTH: Final = max(len(verdict.value) for verdict in Verdict)


def check_plan(command: str, values: Values) -> CheckPlan:
    """Return what to look at for a command with such values.

    Raises:
        click.UsageError: the settings do not go together.
    """
    upstreams: list[CheckedUpstream] = []
    if command in ("stack", "firehose"):
        firehose = firehose_settings(values)
        api_key = firehose.polygon_api_key
        upstreams = [
            CheckedUpstream(
                name="vendor",
                market=market.name,
                url=settings_of_market(firehose, market).vendor_url,
                is_vendor=True,
            )
            for market in firehose.markets
        ]
    elif command == "proxy":
        proxy = filtered_proxy_settings({**values, "named_keys": None})
        api_key = proxy.polygon_api_key
        for market in proxy.markets:
            own = settings_of_market(proxy, market)
            upstreams += [
                CheckedUpstream(name="firehose", market=market.name, url=own.firehose_url),
                CheckedUpstream(name="ms-aggregator", market=market.name, url=own.aggregator_url),
            ]
    else:
        aggregator = aggregator_settings({**values, "named_keys": None})
        api_key = aggregator.polygon_api_key
        upstreams = [
            CheckedUpstream(
                name="firehose", market=market.name, url=settings_of_market(aggregator, market).firehose_url
            )
            for market in aggregator.markets
        ]
    holder = {"stack": "firehose_port", "firehose": "port"}.get(command)
    return CheckPlan(
        command=command,
        host=values["host"],
        port=values["port"],
        max_clients=values["max_clients"],
        api_key=api_key,
        upstreams=upstreams,
        holder_port=values[holder] if holder else 0,
    )


async def run_check(plan: CheckPlan) -> int:
    """Print what is found; return the exit status: 1 when something does not work."""
    status = 0
    async for finding in check(plan):
        colour = {Verdict.GOOD: "green", Verdict.DOUBTFUL: "yellow", Verdict.BAD: "red"}[finding.verdict]
        verdict = f"{finding.verdict.value:<{_WIDTH}}"
        shown = click.style(verdict, fg=colour) if sys.stdout.isatty() else verdict
        click.echo(f"{shown}  {redact(finding.text, [plan.api_key])}")
        if finding.verdict is Verdict.BAD:
            status = 1
    return status


def command_values(
    group: click.Group, ctx: click.Context, arguments: list[str]
) -> tuple[str, dict[str, Any]]:
    """Return the command that is to be checked, and its values as it would have them.

    Args:
        group: has the commands.
        ctx: the context of ``fproxy check``.
        arguments: the command's name, if any, and its options.

    Raises:
        click.UsageError: it cannot be checked, or its settings are wrong.
    """
    name = CHECKED_COMMANDS[0]
    if arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
    if name not in CHECKED_COMMANDS:
        raise click.UsageError(f"{name!r} cannot be checked; these can: {', '.join(CHECKED_COMMANDS)}", ctx)
    with group.commands[name].make_context(name, arguments, parent=ctx.parent) as command_ctx:
        return name, dict(command_ctx.params)
