"""What a setting is: one value that says how it is given, what it may be, and who has it."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

from fproxy.core.market import Market
from fproxy.face.settings.kinds import ValueType


@dataclass(frozen=True, slots=True)
class Declaration:
    """One setting. Its flag, variable, line of a file, default and help all come from here.

    Attributes:
        name: what the program calls it, as does the field in the settings of a role that it fills, where there is one.
        variable: the environment variable, and the name in ``.env``.
        kind: how it is written, and what it may be.
        commands: the commands that have it. Where it fills a role's field, its default is that of the first one's.
        help: one or two sentences for ``--help`` and the tables of the documentation.
        flag: the flag; empty for ``name`` with dashes.
        key: the name in the configuration file; empty for the flag without its dashes.
        default: the default where no role's field has it; None for none.
        switch: whether the flag is given without a value.
        negatable: of a switch, whether there is a ``--no-`` flag, too.
        in_files: whether the configuration file may set it.
        proxy_alone: whether in a stack it is for the proxy alone, as it is about clients.
        per_market: whether each market may have a value of its own: ``VARIABLE_MARKET``, ``[market.NAME]`` in the
            configuration file. The plain value is that of stocks.
    """

    name: str
    variable: str
    kind: ValueType
    commands: tuple[str, ...]
    help: str
    _: KW_ONLY
    flag: str = ""
    key: str = ""
    default: Any = None
    switch: bool = False
    negatable: bool = False
    in_files: bool = True
    proxy_alone: bool = False
    per_market: bool = False

    @property
    def flag_text(self) -> str:
        """The flag as users write it: ``--max-topics``."""
        return self.flag or f"--{self.name.replace('_', '-')}"

    @property
    def file_key(self) -> str:
        """The name in the configuration file: ``max-topics``."""
        return self.key or self.flag_text.removeprefix("--")

    def market_variable(self, market: Market) -> str:
        """Return the variable of one market's value: ``FIREHOSE_URL_FUTURES_CME`` for ``futures/cme``."""
        return f"{self.variable}_{market.setting_suffix}"
