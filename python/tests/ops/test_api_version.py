"""Compiled ops and the table of C functions that they call must be of one version."""

import ctypes

import frameworks
import pytest

from tensorquant import _core
from tensorquant.ops import build

SOURCE = """
#include "tensorquant_api.h"
extern "C" bool tensorquant_set_api(const TensorquantApi* table) {
  return tensorquant_api_fits(table);
}
"""


class Head(ctypes.Structure):
    """The head of the table; the functions follow."""

    _fields_ = [("version", ctypes.c_uint32), ("size", ctypes.c_uint32)]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    source = folder / "ops.cc"
    source.write_text(SOURCE)
    command = [*build._compiler(), "-shared", "-fPIC", f"-I{build._SOURCES}", str(source)]
    build._compile(command, folder / "ops.so")
    return ctypes.CDLL(str(folder / "ops.so"))


def table_of(version, size):
    """A copy of the table's bytes with another head."""
    real = Head.from_address(_core.op_table())
    copy = ctypes.create_string_buffer(ctypes.string_at(_core.op_table(), real.size), real.size)
    head = Head.from_buffer(copy)
    head.version, head.size = real.version + version, real.size + size
    return copy


def test_the_package_s_own_table_fits(library):
    build.connect(library, _core.op_table())


def test_a_longer_table_of_the_same_version_fits(library):
    table = table_of(0, +8)
    build.connect(library, ctypes.addressof(table))


@pytest.mark.parametrize(("version", "size"), [(1, 0), (-1, 0), (0, -8)])
def test_a_table_of_another_version_is_refused_by_the_library_s_name(library, version, size):
    table = table_of(version, size)
    with pytest.raises(build.BuildError, match=r"ops\.so was compiled for another version"):
        build.connect(library, ctypes.addressof(table))


@pytest.mark.parametrize("name", ["tensorflow", "jax"])
def test_a_framework_s_ops_look_at_the_version(name):
    if not frameworks.is_installed(name):
        pytest.skip(f"{name} is not installed")
    source = (build._SOURCES / f"{name}_ops.cc").read_text()
    assert "if (!tensorquant_api_fits(table)) return false;" in source
