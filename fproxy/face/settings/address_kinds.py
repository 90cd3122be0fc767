"""The kinds of value that say where something is, or who may come from there."""

import re
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import click

from fproxy.core.urls import UrlError, check_upstream_url, redacted_url
from fproxy.face.settings.kinds import ValueType


class Host(ValueType):
    """An address to listen on, or a name that stands for one."""

    name = "address"
    allowed = "an address such as 127.0.0.1, ::1 or localhost"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return ``value``, or fail saying what an address looks like."""
        host = str(value).strip()
        # An empty host would mean every address of the machine: too much to say by saying nothing.
        if not re.fullmatch(r"[A-Za-z0-9._:%-]+", host):
            self.fail(f"{value!r} is not {self.allowed}", param, ctx)
        return host


class WebSocketUrl(ValueType):
    """The URL of an upstream."""

    name = "url"
    allowed = "the URL of a WebSocket server: ws://HOST[:PORT][/PATH] or wss://..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return ``value``, or fail saying what a URL looks like."""
        try:
            return check_upstream_url(value)
        except UrlError as error:
            self.fail(f"{redacted_url(value)!r} is not the URL of a WebSocket server: {error}", param, ctx)


class HttpUrl(ValueType):
    """The URL of admin pages."""

    name = "url"
    allowed = "the URL of a web server: http://HOST[:PORT] or https://..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return ``value`` without a slash at its end, or fail saying what a URL looks like."""
        parts = urlsplit(str(value))
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.path.strip("/")
            or parts.query
        ):
            self.fail(f"{value!r} is not {self.allowed}", param, ctx)
        return str(value).rstrip("/")


class Networks(ValueType):
    """Addresses and networks separated by commas."""

    name = "networks"
    takes_many = True
    allowed = "addresses and networks with commas between them, such as 10.0.0.0/8,::1"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the networks, or fail saying what they look like."""
        if isinstance(value, tuple):
            return value
        texts = tuple(text.strip() for text in value.split(","))
        for text in texts:
            try:
                ip_network(text)
            except ValueError as error:
                self.fail(f"{text!r} in {value!r} is none of {self.allowed} ({error})", param, ctx)
        return texts


class Origins(ValueType):
    """Origins of web pages separated by commas; ``*`` for all."""

    name = "origins"
    takes_many = True
    allowed = "origins with commas between them, such as https://desk.example,http://localhost:3000, or *"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the origins in lower case, or fail saying what they look like."""
        if isinstance(value, tuple):
            return value
        texts = tuple(text.strip().lower() for text in value.split(","))
        for text in texts:
            if text not in ("*", "null") and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#@]+", text):
                self.fail(f"{text!r} in {value!r} is none of {self.allowed}", param, ctx)
        return texts
