#!/usr/bin/env python3
"""Checks which headers `cmake --install` has installed.

Usage: check_installed.py PREFIX SOURCE_DIR TORCH    (ON or OFF, as the build has it)
"""

import pathlib
import re
import sys

CORE = ["base", "formats", "kernels", "quantizers", "maps", "arithmetic", "calibration", "search", "store", "report", "sweep", "onnx", "data", "measure"]
TORCH = ["libtorch", "onnx_torch", "models"]
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def is_public(header):
    """Neither one of the tests nor one that a single source file includes."""
    return not re.match(r"test_.*|.*_test|.*_cases|.*-inl", header.stem)


def expected(source, with_torch):
    parts = CORE + (TORCH if with_torch else [])
    headers = {h for p in parts for h in (source / "tensorquant" / p).rglob("*.h") if is_public(h)}
    headers.add(source / "tensorquant/tensorquant.h")
    if with_torch:
        headers.add(source / "tensorquant/cli/command_line.h")
    return {str(header.relative_to(source)) for header in headers}


def main():
    prefix, source = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    include = prefix / "include"
    installed = {str(f.relative_to(include)) for f in include.rglob("*") if f.is_file()}
    wanted = expected(source, sys.argv[3] == "ON")
    faults = [f"not installed: {name}" for name in sorted(wanted - installed)]
    faults += [f"should not be installed: {name}" for name in sorted(installed - wanted)]
    for name in sorted(installed):
        for target in INCLUDE.findall((include / name).read_text()):
            if target.startswith("tensorquant/") and target not in installed:
                faults.append(f"{name} includes {target}, which is not installed")
            if target.startswith(("gtest/", "gmock/")):
                faults.append(f"{name} is a test's header")
    print("\n".join(faults) if faults else f"installed headers: good ({len(installed)})")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
