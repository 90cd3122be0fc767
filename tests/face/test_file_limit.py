"""The limit of open files, as a started program raises it."""

import sys

import pytest
from running_program import StartProgram

if sys.platform != "linux":
    pytest.skip("reads the limits of another process, as only Linux lets it", allow_module_level=True)

import resource

LOW = 512


async def test_a_low_soft_limit_is_raised_to_the_hard_one(start: StartProgram, unused_tcp_port: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard <= LOW:
        pytest.skip(f"the hard limit is {hard}: nothing to raise to")
    resource.setrlimit(resource.RLIMIT_NOFILE, (LOW, hard))
    try:
        nowhere = "ws://127.0.0.1:1"
        program = await start("--port", str(unused_tcp_port), FIREHOSE_URL=nowhere, MS_AGGREGATOR_URL=nowhere)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await program.error_line("Connecting to firehose at")
    assert resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
