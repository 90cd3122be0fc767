"""Which interpreters are refused."""

import importlib
import sys

import pytest

import fproxy


def test_free_threaded_python_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(ImportError, match=r"free-threaded Python.*PYTHON_GIL=1"):
        importlib.reload(fproxy)


def test_with_its_lock_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    importlib.reload(fproxy)
