"""The admin pages of a whole chain, as people see them: in a browser and in a terminal, while the demo runs."""

import asyncio
import json
import os
import re
import signal
import urllib.error
import urllib.request
from typing import Any

from headless_browser import CHROMIUM, Page, browser_page
from own_ports import own_port
from prometheus_client.parser import text_string_to_metric_families
from running_program import TIMEOUT, Program, StartProgram

FREE_PORTS = [text for role in ("firehose", "aggregator", "simulator") for text in (f"--{role}-port", "0")]
CHAIN = ["market", "firehose", "aggregator", "proxy"]


async def page_text(url: str) -> tuple[int, str]:
    def get() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(get)


async def until_status(url: str, wanted: int) -> str:
    async with asyncio.timeout(TIMEOUT):
        while True:
            status, text = await page_text(url)
            if status == wanted:
                return text


async def start_demo(start: StartProgram) -> tuple[Program, str]:
    port = own_port()
    demo = await start("demo", "--port", "0", "--admin-port", str(port), *FREE_PORTS)
    await demo.error_line("Admin pages: ")
    return demo, f"http://127.0.0.1:{port}"


async def test_one_port_tells_of_all_processes_to_programs_and_to_people(start: StartProgram) -> None:
    """One run for all of it: four processes take seconds to start."""
    demo, url = await start_demo(start)
    await until_status(f"{url}/readyz", 200)
    state: Any = json.loads((await page_text(f"{url}/state"))[1])
    assert [process["name"] for process in state["processes"]] == CHAIN
    assert state["clients_total"] == 0  # the roles of the chain are no clients
    metrics = (await page_text(f"{url}/metrics"))[1]
    assert "_created" not in metrics
    families = {family.name: family for family in text_string_to_metric_families(metrics)}
    assert {sample.labels["process"] for sample in families["process_cpu_seconds"].samples} == set(CHAIN)

    top = await start("top", "--once", "--url", url, COLUMNS="140")
    code, shown, errors = await top.finish()
    assert (code, errors) == (0, "")
    assert "ready" in shown
    assert all(name in shown for name in CHAIN)
    assert re.search(r"proxy <- firehose +stocks +up", shown)

    if CHROMIUM is not None:
        await see_the_market_move_and_subscribe(url)

    firehose = next(process for process in state["processes"] if process["name"] == "firehose")
    os.kill(firehose["pid"], signal.SIGKILL)
    reasons = await until_status(f"{url}/readyz", 503)
    assert "firehose" in reasons
    await until_status(f"{url}/readyz", 200)
    assert (await demo.finish(signal.SIGINT))[0] == 0


async def test_top_without_anything_to_look_at_says_so(start: StartProgram) -> None:
    top = await start("top", "--once", "--url", f"http://127.0.0.1:{own_port()}")
    code, _, errors = await top.finish()
    assert code == 1
    assert errors.startswith("fproxy top: no answer from http://127.0.0.1:")
    assert "Traceback" not in errors


async def see_the_market_move_and_subscribe(url: str) -> None:
    """Do with the live page what a person would, in a browser."""
    async with browser_page() as page:
        await page.open(url)
        await page.until("document.getElementById('ready').textContent === 'ready'")
        await page.until("parseFloat(document.getElementById('events-in').textContent) > 0")
        for place in ("vendor-firehose", "firehose-proxy", "firehose-aggregator", "aggregator-proxy"):
            assert await page.value(f"document.getElementById('rate-{place}').textContent"), place
        await page.until("document.querySelectorAll('#topics li').length > 3")
        await page.value("document.getElementById('try-topics').value = 'T.*'")
        await page.value("document.getElementById('try-topics').focus()")
        await page.press("Enter", 13)
        await page.until("""document.getElementById('events').textContent.includes('"ev":"T"')""")
        await page.until("document.querySelector('#clients td')?.textContent.startsWith('127.0.0.1:')")
        await page.until("document.getElementById('log').textContent.includes('joined on /stocks')")
        assert page.problems == []
        await check_layouts(page, url)


async def check_layouts(page: Page, url: str) -> None:
    """In either theme and on a phone nothing is wider than the screen, and everything that acts can be named."""
    for width, dark in ((1280, True), (390, False)):
        await page.open(url, width=width, dark=dark)
        await page.until("document.getElementById('ready')?.textContent === 'ready'")
        assert await page.value("document.documentElement.scrollWidth") <= width
        unnamed = await page.value(
            "[...document.querySelectorAll('button, input, select, [role=img], [role=region], [role=log]')].filter("
            "(each) => !(each.textContent.trim() || each.labels?.length || each.getAttribute('aria-label')"
            " || each.getAttribute('aria-labelledby'))).length"
        )
        assert unnamed == 0
