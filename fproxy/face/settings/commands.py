"""The commands that settings are for, by what they have in common, and the settings that their roles begin with."""

from collections.abc import Mapping
from typing import Any, Final

from fproxy.roles.settings import AggregatorSettings, FilteredProxySettings, FirehoseSettings
from fproxy.roles.simulator_settings import SimulatorSettings

ROLES: Final[Mapping[str, Any]] = {
    "proxy": FilteredProxySettings(),
    "firehose": FirehoseSettings(),
    "aggregator": AggregatorSettings(),
    "sim": SimulatorSettings(),
}
"""The command of each role, with the settings that it has when nothing is given."""

CLIENTS: Final = ("proxy", "firehose", "aggregator", "sim", "stack")
"""What serves clients."""
UPSTREAMS: Final = ("proxy", "firehose", "aggregator", "stack")
"""What has an upstream."""
PROXY: Final = ("proxy", "stack")
HISTORY: Final = ("proxy", "firehose", "aggregator", "stack")
FIREHOSE: Final = ("firehose", "stack")
AGGREGATOR: Final = ("aggregator", "stack")
SIMULATION: Final = ("sim", "demo")
MARKETS: Final = ("proxy", "firehose", "aggregator", "sim", "stack", "demo")
"""What serves markets."""
CHAINS: Final = ("stack", "demo")
SERVERS: Final = ("proxy", "firehose", "aggregator", "sim", "stack", "demo")
"""What serves at all."""
ALL: Final = (*SERVERS, "tail", "top", "keys add")
