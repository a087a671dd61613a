"""Compiles the ops of TensorFlow and JAX on first use, and keeps them in a cache."""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

_SOURCES = Path(__file__).parent / "native"


class BuildError(Exception):
    """No op could be built; the message says why."""


def build(framework: str, version: str, source: str, flags: Sequence[str]) -> Path:
    """The shared library of a framework's ops, from the cache or compiled now.

    Args:
        framework: its name for people, "TensorFlow".
        version: of the framework.
        source: the file's name in native/.
        flags: of the compiler and the linker.

    The environment: ``CXX`` is the compiler (c++, g++ or clang++ where it is not set),
    ``TENSORQUANT_CACHE`` the folder of the cache, and ``TENSORQUANT_OPS=fallback`` compiles nothing.

    Raises:
        BuildError: there is no compiler, it failed, or the cache cannot be written.
    """
    if os.environ.get("TENSORQUANT_OPS") == "fallback":
        raise BuildError("TENSORQUANT_OPS=fallback asks for none")
    compiler = _compiler()
    command = [*compiler, "-O2", "-fPIC", "-shared", "-w", f"-I{_SOURCES}", str(_SOURCES / source)]
    texts = [(_SOURCES / name).read_text() for name in (source, "tensorquant_api.h")]
    key = json.dumps([framework, version, platform.machine(), compiler, list(flags), texts])
    name = f"{Path(source).stem}-{version}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    try:
        folder = _cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        library = folder / f"{name}.so"
        if library.exists():
            return library
        with _locked(folder / f"{name}.lock"):
            if not library.exists():  # another process may have built it meanwhile
                print(
                    f"tensorquant: compiling its op for {framework} {version}, once ...",
                    file=sys.stderr,
                    flush=True,
                )
                _compile([*command, *flags], library)
    except OSError as error:
        raise BuildError(str(error)) from error
    return library


def connect(library: ctypes.CDLL, table: int) -> None:
    """Gives a library of ops the table of C functions.

    Args:
        library: what build() made, loaded.
        table: the address of the table, _core.op_table().

    Raises:
        BuildError: the library was compiled for a table of another version.
    """
    library.tensorquant_set_api.restype = ctypes.c_bool
    if not library.tensorquant_set_api(ctypes.c_void_p(table)):
        raise BuildError(
            f"{library._name} was compiled for another version of tensorquant; delete it"
        )


def warn_of_fallback(framework: str, substitute: str, reason: Exception) -> None:
    warnings.warn(
        f"tensorquant has no compiled op for {framework}: {reason}. It calls back into Python by "
        f"{substitute} instead: the same bits, but slower",
        RuntimeWarning,
        stacklevel=2,
    )


def _compiler() -> list[str]:
    chosen = shlex.split(os.environ.get("CXX", ""))
    if chosen:
        if shutil.which(chosen[0]) is None:
            raise BuildError(f"the compiler CXX={chosen[0]} is not found")
        return chosen
    for name in ("c++", "g++", "clang++"):
        if shutil.which(name) is not None:
            return [name]
    raise BuildError("no C++ compiler is found (c++, g++, clang++; or set CXX)")


def _cache_folder() -> Path:
    if chosen := os.environ.get("TENSORQUANT_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tensorquant"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the system opens the lock of one that dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compile(command: list[str], library: Path) -> None:
    """Beside the library's place and then renamed, so that nobody sees half of one."""
    with tempfile.TemporaryDirectory(prefix=f"{library.stem}.", dir=library.parent) as folder:
        output = Path(folder) / library.name
        run = subprocess.run(
            [*command, "-o", str(output)], check=False, capture_output=True, text=True
        )
        if run.returncode != 0 or not output.exists():
            lines = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
            faults = [line for line in lines if "error" in line]
            raise BuildError(f"{command[0]} failed ({(faults or lines)[0].strip()})")
        output.rename(library)
