"""Reading what happens from another process' admin pages."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp

SILENCE: Final = 60.0
"""How long nothing at all may come, in seconds: several times as long as the pages are ever silent."""


async def activity_records(session: aiohttp.ClientSession) -> AsyncIterator[dict[str, Any]]:
    """Yield the records that ``/events`` tells, those that it keeps first, until the connection ends.

    Args:
        session: asks the admin pages.

    Raises:
        aiohttp.ClientError: it breaks off, or nobody answers; likewise OSError and TimeoutError.
        ValueError: what comes is no JSON.
    """
    endless = aiohttp.ClientTimeout(total=None, sock_read=SILENCE)
    async with session.get("/events", timeout=endless) as answer:
        async for line in answer.content:
            if line.startswith(b"data: {") and b'"kind"' in line:
                yield json.loads(line[len(b"data: ") :])
