"""The reference pages tell of what there is: metrics as the roles have them, statuses as the code sends them."""

import re
from pathlib import Path

from fproxy.face.metrics_reference import reference

ROOT = Path(__file__).parents[2]
SOURCES = [path for part in ("core", "shell", "roles") for path in (ROOT / "fproxy" / part).rglob("*.py")]


def test_the_page_of_metrics_is_what_the_roles_have() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert text == reference(), "run python -m fproxy.face.metrics_reference"


def test_every_status_that_is_sent_is_told_of() -> None:
    told = set(
        re.findall(r"^\| `([a-z_]+)` \|", (ROOT / "docs" / "statuses.md").read_text("utf-8"), re.MULTILINE)
    )
    code = "".join(path.read_text("utf-8") for path in SOURCES)
    named = set(re.findall(r'^[A-Z_]+_STATUS: Final = "([a-z_]+)"', code, re.MULTILINE))
    paired = set(
        re.findall(r'\(\s*"(connected|success|error|auth_[a-z]+|max_connections|slow_consumer)",', code)
    )
    assert paired
    between_roles = {"position", "recovered"}
    assert named | paired <= told | between_roles
