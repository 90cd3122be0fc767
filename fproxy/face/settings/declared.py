"""Every setting, each declared once, in the order of ``--help`` and of the documentation's tables.

To add one: a `Declaration` in the file of its subject (``of_clients.py``, ``of_upstreams.py``, ``of_roles.py``,
``of_programs.py``), and a field of the same name, with the default, in the settings of the role that reads it, or of a
part of them (``roles/settings.py``). ``python -m fproxy.face.settings.reference`` then writes the documentation's
tables again.
"""

from dataclasses import fields, is_dataclass
from typing import Any, Final

from fproxy.face.settings.commands import ROLES
from fproxy.face.settings.declaration import Declaration
from fproxy.face.settings.of_clients import CLIENT_SETTINGS
from fproxy.face.settings.of_programs import (
    ADMIN_SETTINGS,
    GENERAL_SETTINGS,
    SIMULATION_SETTINGS,
    TAIL_SETTINGS,
)
from fproxy.face.settings.of_roles import ROLE_SETTINGS
from fproxy.face.settings.of_upstreams import UPSTREAM_SETTINGS

DECLARATIONS: Final = (
    *ROLE_SETTINGS,
    *SIMULATION_SETTINGS,
    *UPSTREAM_SETTINGS,
    *CLIENT_SETTINGS,
    *ADMIN_SETTINGS,
    *TAIL_SETTINGS,
    *GENERAL_SETTINGS,
)
"""All of them. Two may have one variable: ``fproxy firehose --port`` is ``fproxy stack --firehose-port``."""


def default_of(declared: Declaration) -> Any:
    """Return a setting's default: its own, or that of the field that it fills in its first command's role.

    None is for none.
    """
    if declared.default is not None:
        return declared.default
    found = _fields(ROLES[declared.commands[0]]).get(declared.name) if declared.commands[0] in ROLES else None
    return None if found in ("", ()) else found


def _fields(settings: Any) -> dict[str, Any]:
    """Return the fields of a role's settings, with those of their parts."""
    found: dict[str, Any] = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        found |= _fields(value) if is_dataclass(value) else {field.name: value}
    return found
