"""The vendor's JavaScript client, where Node and npm are."""

import shutil
import subprocess
from pathlib import Path

import pytest

JAVASCRIPT_CLIENT = "@massive.com/client-js@10.8.0"


@pytest.fixture(scope="session")
def javascript_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with the vendor's JavaScript client, ready to be run by Node."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node and npm are not installed")
    folder = tmp_path_factory.mktemp("javascript")
    (folder / "package.json").write_text("{}")
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", JAVASCRIPT_CLIENT]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm reaches no registry")
    if done.returncode != 0:
        pytest.skip(f"npm cannot install {JAVASCRIPT_CLIENT}: {done.stderr[-200:]}")
    return Path(shutil.copy(Path(__file__).with_name("javascript_client.mjs"), folder))
