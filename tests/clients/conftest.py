"""The vendor's JavaScript client, where Node and npm are, and a Go program like the vendor's, where Go is."""

import os
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


@pytest.fixture(scope="session")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Go program that behaves as the vendor's Go client, built of the WebSocket library that this one uses."""
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        pytest.skip("Go is not installed")
    program = tmp_path_factory.mktemp("go") / "go_client"
    folder = Path(__file__).with_name("go_client")
    environment = os.environ | {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    try:
        subprocess.run(
            [go, "mod", "download"], cwd=folder, env=environment, capture_output=True, timeout=60, check=True
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        pytest.skip("Go reaches no module proxy")
    subprocess.run([go, "build", "-o", program, "."], cwd=folder, env=environment, timeout=300, check=True)
    return program
