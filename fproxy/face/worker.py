"""One of the processes of ``fproxy --workers N``, which starts them with ``python -m fproxy.face.worker NUMBER``."""

from dataclasses import replace
from typing import Any

import click

from fproxy.face.logs import configure_logging
from fproxy.face.serving import keys_watch, serve_filtered_proxy
from fproxy.face.settings.built import filtered_proxy_settings
from fproxy.face.settings.options import settings_of
from fproxy.face.workers import READY_LINE


@click.command()
@click.argument("number", type=int)
@settings_of("proxy")
def worker(number: int, **values: Any) -> None:
    """Run a filtered proxy on a port that others listen on, too, until the process that started it is gone.

    NUMBER is for those who list processes. What all workers have in common has been logged before they start.
    """
    configure_logging(values["log_level"], values["log_format"])
    watch = keys_watch(values)
    settings = filtered_proxy_settings({**values, "named_keys": watch and watch.keys})
    settings = replace(settings, server=replace(settings.server, reuse_port=True))
    serve_filtered_proxy(values, settings, watch, lambda: print(READY_LINE, flush=True))


if __name__ == "__main__":
    worker(prog_name="fproxy worker")
