"""Build the compiled extensions; everything declarative is in pyproject.toml.

``pip install .`` compiles each ``fproxy/*.pyx`` as C++17 and links it with simdjson, whose sources the
``pysimdjson`` distribution carries (a build requirement). Nothing is compiled with ``-march=native``: the scanner
picks AVX2, NEON or portable code when it runs, so that one wheel serves every machine of its architecture.
"""

import sys
from pathlib import Path

import simdjson
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_clib import build_clib
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError

SIMDJSON_SOURCES = Path(simdjson.__file__).parent
COMPILE_FLAGS = ["/O2", "/std:c++17"] if sys.platform == "win32" else ["-O3", "-std=c++17", "-g0", "-fno-math-errno"]
HEADERS = sorted(str(header) for header in Path("fproxy/native").glob("*.hpp"))

NO_COMPILER = """
fproxy could not be compiled: {error}

fproxy's hot path is compiled when it is installed, which needs a C++17 compiler and Python's headers:
  Debian, Ubuntu   apt install g++ python3-dev
  Fedora, RHEL     dnf install gcc-c++ python3-devel
  macOS            xcode-select --install
  Windows          the "Desktop development with C++" workload of the Visual Studio Build Tools
"""


def _explain(error: BaseException) -> SystemExit:
    return SystemExit(NO_COMPILER.format(error=error))


class BuildSimdjson(build_clib):
    """Compile simdjson, and say what to install when there is no compiler."""

    def run(self) -> None:
        """Compile the library.

        Raises:
            SystemExit: the compiler is missing or failed; the message says what to install.
        """
        try:
            super().run()
        except (BaseError, OSError) as error:
            raise _explain(error) from error


class BuildExtensions(build_ext):
    """Compile the extensions, and say what to install when there is no compiler."""

    def run(self) -> None:
        """Compile the extensions, after the library that they link with.

        Raises:
            SystemExit: the compiler is missing or failed; the message says what to install.
        """
        try:
            self.run_command("build_clib")
            super().run()
        except (BaseError, OSError) as error:
            raise _explain(error) from error


extensions = [
    Extension(
        f"fproxy.{source.stem}",
        [str(source)],
        language="c++",
        include_dirs=["fproxy/native", str(SIMDJSON_SOURCES)],
        depends=HEADERS,
        extra_compile_args=COMPILE_FLAGS,
    )
    for source in sorted(Path("fproxy").glob("*.pyx"))
]

setup(
    libraries=[
        (
            "fproxy_simdjson",
            {
                "sources": [str(SIMDJSON_SOURCES / "simdjson.cpp")],
                "include_dirs": [str(SIMDJSON_SOURCES)],
                "cflags": [*COMPILE_FLAGS, *([] if sys.platform == "win32" else ["-fPIC"])],
            },
        )
    ],
    ext_modules=cythonize(
        extensions,
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "embedsignature": True,
        },
    ),
    cmdclass={"build_clib": BuildSimdjson, "build_ext": BuildExtensions},
)
