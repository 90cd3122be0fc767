"""The examples as a reader would run them, and the names that a program may rely upon."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import fproxy

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def test_a_program_with_the_proxy_inside_prints_trades() -> None:
    done = run("embed_proxy.py", "5")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["SPY"] * 5
    assert all(float(price) > 0 and float(size) > 0 for _, price, size in lines)
    assert done.stderr == ""


def test_a_file_is_filtered_byte_for_byte(tmp_path: Path) -> None:
    wanted = [
        '{"ev":"T","sym":"AAPL","p":1.50}',
        '{"ev":"Q","sym":"MSFT",  "bp":2}',
        '{"sym":"IBM","ev":"Q"}',
    ]
    file = tmp_path / "messages.jsonl"
    file.write_text(
        f'[{wanted[0]},{{"ev":"T","sym":"MSFT"}}]\n'
        '[{"ev":"T","sym":"AAPL",]\n'
        f'[{wanted[1]}]\n[{{"ev":"A","sym":"AAPL"}},{wanted[2]}]\n'
    )
    done = run("filter_file.py", str(file), "T.AAPL,Q.*")
    assert done.stdout.splitlines() == wanted
    assert done.stderr.startswith("line 2: not sound JSON at byte 24")


@pytest.mark.parametrize("name", fproxy.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(fproxy, name) is not None
    assert name in dir(fproxy)
    assert f"`{name}`" in (EXAMPLES.parent / "docs" / "library.md").read_text()


def test_other_names_are_refused_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'fproxy' has no attribute 'Proxy'"):
        _ = fproxy.Proxy


def test_importing_the_package_loads_nothing_else() -> None:
    code = "import sys, fproxy, json; print(json.dumps([name for name in sys.modules if name.startswith('fproxy.')]))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == []
