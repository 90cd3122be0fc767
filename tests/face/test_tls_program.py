"""``wss://`` as a program: certificates refused at the start, and read again while clients are served."""

import json
import re
import signal
import ssl
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner
from running_program import StartProgram
from websockets.asyncio.client import connect

from fproxy.face.cli import fproxy

NOWHERE = {"FIREHOSE_URL": "ws://127.0.0.1:1", "MS_AGGREGATOR_URL": "ws://127.0.0.1:1"}


def write_certificate(directory: Path) -> trustme.CA:
    """Write a certificate of a new authority, and return that."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    return authority


async def answer(port: int, authority: trustme.CA) -> str:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with connect(f"wss://localhost:{port}/", ssl=context, host="127.0.0.1") as client:
        await client.send(json.dumps({"action": "auth", "params": "any"}))
        (status,) = json.loads(await client.recv())
        return str(status["status"])


async def test_certificates_are_read_again_when_they_change(start: StartProgram, tmp_path: Path) -> None:
    authority = write_certificate(tmp_path)
    program = await start("--port", "0", "--tls-cert", "cert.pem", "--tls-key", "key.pem", **NOWHERE)
    port = int(re.findall(r"\d+", await program.error_line("Now listening on port"))[-1])
    assert await answer(port, authority) == "auth_success"
    whole = (tmp_path / "cert.pem").read_text()
    (tmp_path / "cert.pem").write_text("nonsense")
    await program.error_line("The certificates stay as they were: cert.pem and key.pem are not a certificate")
    assert await answer(port, authority) == "auth_success"
    renewed = write_certificate(tmp_path)
    assert (tmp_path / "cert.pem").read_text() != whole
    program.process.send_signal(signal.SIGHUP)
    await program.error_line("INFO Read the certificate cert.pem again")
    assert await answer(port, renewed) == "auth_success"
    code, _, errors = await program.finish(signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in "".join(program.errors) + errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--tls-cert", "cert.pem"],
            "TLS needs both a certificate (FPROXY_TLS_CERT) and its key (FPROXY_TLS_KEY)",
        ),
        (["--tls-cert", "key.pem", "--tls-key", "key.pem"], "are not a certificate and its key"),
        (["--upstream-ca", "missing.pem"], "cannot read missing.pem"),
        (
            ["--upstream-cert", "cert.pem"],
            "TLS to upstreams needs both a certificate (FPROXY_UPSTREAM_CERT) and its key",
        ),
    ],
)
def test_files_that_cannot_be_used_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    write_certificate(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(fproxy, arguments)
    assert result.exit_code == 2
    assert message in result.output
