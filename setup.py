"""Build the compiled extensions; everything declarative is in pyproject.toml.

``pip install .`` compiles each ``fproxy/*.pyx`` as C++17. Nothing is compiled with ``-march=native``: the scanner picks
AVX2, NEON or portable code when the program runs, so that one wheel serves every machine of its architecture.
"""

import os
from pathlib import Path

import picows
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

# More flags, behind those that setuptools takes from CFLAGS and these: for sanitizers.
MORE_FLAGS = os.environ.get("FPROXY_COMPILE_FLAGS", "").split()
# Members that are stored one by one and then copied as one vector make the processor wait: a scan took a tenth longer.
COMPILE_FLAGS = ["-O3", "-std=c++17", "-g0", "-fno-math-errno", "-fno-tree-slp-vectorize", *MORE_FLAGS]
HEADERS = sorted(str(header) for header in Path("fproxy/native").glob("*.hpp"))

NO_COMPILER = """
fproxy could not be compiled: {error}

fproxy's hot path is compiled when it is installed, which needs a 64-bit machine, GCC or Clang with C++17, and
Python's headers:
  Debian, Ubuntu   apt install g++ python3-dev
  Fedora, RHEL     dnf install gcc-c++ python3-devel
  macOS            xcode-select --install
"""


class BuildExtensions(build_ext):
    """Compile the extensions, and say what to install when there is no compiler."""

    def run(self) -> None:
        """Compile the extensions.

        Raises:
            SystemExit: the compiler is missing or failed; the message says what to install.
        """
        try:
            super().run()
        except (BaseError, CCompilerError, OSError) as error:
            raise SystemExit(NO_COMPILER.format(error=error)) from error


extensions = [
    Extension(
        f"fproxy.{source.stem}",
        [str(source)],
        language="c++",
        include_dirs=["fproxy/native"],
        depends=HEADERS,
        define_macros=[("FPROXY_PICOWS_VERSION", f'"{picows.__version__}"')],
        extra_compile_args=COMPILE_FLAGS,
    )
    for source in sorted(Path("fproxy").glob("*.pyx"))
]

setup(
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
    cmdclass={"build_ext": BuildExtensions},
)
