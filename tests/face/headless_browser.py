"""A headless Chromium, driven by its own protocol: what a person would see of a page, and do with it."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

PATIENCE = 30.0
"""How long a page may take to come to show something, in seconds."""


class Page:
    """One page of a browser."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.problems: list[str] = []  # what the page logged as errors, or threw
        self._loaded = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for text in self._connection:
            message = json.loads(text)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message)
            elif message["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif message["method"] == "Runtime.exceptionThrown":
                self.problems.append(json.dumps(message["params"]["exceptionDetails"]))
            elif message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.problems.append(message["params"]["entry"]["text"])

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        message = await asyncio.wait_for(answer, PATIENCE)
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    async def open(self, url: str, *, width: int = 1280, height: int = 1250, dark: bool = False) -> None:
        await self.call("Runtime.enable")
        await self.call("Log.enable")
        await self.call("Page.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=scheme)
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), PATIENCE)

    async def value(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        result = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression is true on the page; return its value."""
        return await self.value(
            f"new Promise((done) => {{ const look = () => ({expression}) || null; const again = () => {{"
            " const found = look(); if (found) done(found); else setTimeout(again, 50); }; again(); })"
        )

    async def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    async def screenshot(self) -> bytes:
        """The whole page as a PNG."""
        picture = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(picture["data"])

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)


@contextlib.asynccontextmanager
async def browser_page() -> AsyncIterator[Page]:
    """Start a browser, and give its page; the browser ends with the context."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            *(
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-port=0",
                "--hide-scrollbars",
            ),
            *(
                "--no-first-run",
                "--disable-background-networking",
                f"--user-data-dir={profile}",
                "about:blank",
            ),
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            # Sanitizers are for this program, not for the browser, which would not start.
            env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"},
        )
        assert process.stderr is not None
        draining: asyncio.Task[bytes] | None = None
        try:
            address = await asyncio.wait_for(_debugger(process.stderr), PATIENCE)
            draining = asyncio.create_task(process.stderr.read())
            port = address.split("/")[2]
            target = await _first_page(address)
            async with connect(f"ws://{port}/devtools/page/{target}", max_size=None) as connection:
                page = Page(connection)
                try:
                    yield page
                finally:
                    await page.close()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            if draining is not None:
                await draining


async def _debugger(output: asyncio.StreamReader) -> str:
    while line := await output.readline():
        if b"DevTools listening on " in line:
            return line.split()[-1].decode()
    raise AssertionError("the browser ended")


async def _first_page(address: str) -> str:
    async with connect(address) as connection:
        await connection.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
        targets = json.loads(await connection.recv())["result"]["targetInfos"]
        page: str = next(target["targetId"] for target in targets if target["type"] == "page")
        return page
