"""The ``fproxy`` command as a real process, in an empty directory and without settings in its environment."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from running_program import Program, StartProgram

from fproxy.face.chain import own_command, own_path
from fproxy.face.settings.sources import known_settings


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[StartProgram]:
    """Give a function that starts ``fproxy`` with arguments, and settings as keywords."""
    programs: list[Program] = []

    async def start_program(*arguments: str, **settings: str) -> Program:
        inherited = {name: value for name, value in os.environ.items() if name not in known_settings()}
        process = await asyncio.create_subprocess_exec(
            *own_command(),
            *arguments,
            cwd=tmp_path,
            # Several run at once: only a test that is about admin pages has them.
            env={
                **inherited,
                **own_path(),
                "FPROXY_ADMIN_PORT": "0",
                "FPROXY_LOG_FORMAT": "bare",
                "XDG_RUNTIME_DIR": str(tmp_path),
                **settings,
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        programs.append(Program(process))
        return programs[-1]

    yield start_program
    for program in programs:
        if program.process.returncode is None:
            program.process.kill()
        await program.process.communicate()
