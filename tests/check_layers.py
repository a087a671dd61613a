#!/usr/bin/env python3
"""Checks the house rules of ARCHITECTURE.md: which part may include or import which, what public headers must not name, how long
files are.

Usage: check_layers.py [ROOT]. Prints each offence as file:line and exits with 1 if there is one.
"""

import pathlib
import re
import sys

import python_layers

# A part may include itself and these.
ALLOWED = {
    "base": set(),
    "formats": {"base"},
    "kernels": {"base", "formats"},
    "quantizers": {"base", "formats", "kernels"},
    "maps": {"base", "formats", "kernels", "quantizers"},
    "arithmetic": {"base", "formats", "kernels", "quantizers"},
    "calibration": {"base", "formats", "kernels", "quantizers"},
    "search": {"base", "formats", "kernels", "quantizers", "maps", "arithmetic", "calibration"},
    "store": {"base"},
    "sweep": {"base", "store"},
    "report": {"base", "formats", "kernels", "quantizers", "maps", "arithmetic", "calibration", "search", "store"},
    "onnx": {"base", "formats", "kernels", "quantizers", "maps"},
    "data": {"base"},
    "measure": {"base", "formats", "kernels", "quantizers"},
}
CORE = set(ALLOWED) - {"data", "measure"}
BELOW_LIBTORCH = CORE - {"onnx", "search", "store", "sweep", "report"}
ALLOWED["libtorch"] = BELOW_LIBTORCH
ALLOWED["onnx_torch"] = BELOW_LIBTORCH | {"onnx", "search", "libtorch"}
ALLOWED["models"] = CORE - {"report"} | {"libtorch", "data"}
ALLOWED["cli"] = CORE | {"libtorch", "onnx_torch", "data", "models", "measure"}
ALLOWED["mpi"] = {"base", "store", "sweep", "cli"}

# Inside a part, a folder may include itself, the part's own top and these.
FOLDERS = {
    "onnx": {
        "wire": set(),
        "graph": {"wire"},
        "names": {"wire", "graph"},
        "export": {"wire", "graph", "names"},
    },
    "arithmetic": {"exact": set(), "sums": {"exact"}, "layers": {"exact", "sums"}},
    "libtorch": {
        "tensors": set(),
        "arithmetic": {"tensors"},
        "layers": {"tensors", "arithmetic"},
        "nn": {"tensors", "arithmetic", "layers"},
        "model": {"tensors", "arithmetic", "layers"},
    },
    "onnx_torch": {"": {"operators"}, "operators": set(), "node_tests": {"", "operators"}},
}

# For users: they include what they like and nothing in their part includes them.
FACES = {"tensorquant/libtorch/libtorch.h"}

# Lines of a source file.
LONGEST = 500

# An outside library, as an include names it, and the parts that may use it.
OUTSIDE = {
    "hwy/": {"kernels", "arithmetic"},
    "torch/": {"libtorch", "onnx_torch", "models", "cli"},
    "ATen/": {"libtorch", "onnx_torch", "models", "cli"},
    "c10/": {"libtorch", "onnx_torch", "models", "cli"},
    "nlohmann/": {"maps", "search", "store", "sweep", "report", "data", "measure", "models", "cli", "mpi"},
    "CLI/": {"cli"},
    "zlib.h": {"data"},
    "mpi.h": {"mpi"},
}

# What the core's public headers must not name, so that a user's compiler never sees it.
HIDDEN = re.compile(r"\bHWY_|\bhwy::|\btorch::|\bnlohmann\b")

INCLUDE = re.compile(r'\s*#\s*include\s*[<"]([^>"]+)[>"]')


def folder_of(part, parts):
    """The folder in which the path `parts`, of what stands inside the part, lies; "" for the part's top."""
    return parts[0] if part in FOLDERS and len(parts) > 1 else ""


def folder_offence(part, mine, target):
    if target in FACES:
        return f"{part}/ may not include its own face"
    theirs = folder_of(part, target.split("/")[2:])
    folders = FOLDERS.get(part, {})
    allowed = {"", mine} | folders.get(mine, set())
    return f"{part}/{mine or 'its top'} may not include {part}/{theirs}" if theirs not in allowed else None


def long_files(root):
    for folder in ("tensorquant", "python", "tests", "fuzz", "bench", "examples", "scripts"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in {".h", ".cc", ".py"}:
                length = len(path.read_text().splitlines())
                if length > LONGEST:
                    yield f"{path.relative_to(root)}: {length} lines, more than {LONGEST}"


def offences(root):
    yield from long_files(root)
    for path in sorted((root / "tensorquant").rglob("*")):
        if path.suffix not in {".h", ".cc"}:
            continue
        name = path.relative_to(root)
        part = name.parts[1] if len(name.parts) > 2 else None
        is_test = path.stem.endswith("_test")
        is_public_core = part in CORE and path.suffix == ".h" and not path.name.endswith("-inl.h")
        if part is not None and part not in ALLOWED:
            yield f"{name}: the part '{part}' has no place in the order of parts"
            continue
        folder = folder_of(part, name.parts[2:])
        if folder and folder not in FOLDERS[part]:
            yield f"{name}: the folder '{folder}' has no place in the order of {part}/'s folders"
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            place = f"{name}:{number}"
            include = INCLUDE.match(line)
            if is_public_core and HIDDEN.search(line):
                yield f"{place}: a public header of the core names an outside library: {line.strip()}"
            if not include or part is None:
                continue
            target = include.group(1)
            inside = re.match(r"tensorquant/(\w+)/", target)
            if inside and not is_test and inside.group(1) not in ALLOWED[part] | {part}:
                yield f"{place}: {part}/ may not include {inside.group(1)}/"
            if inside and not is_test and inside.group(1) == part and str(name) not in FACES:
                if offence := folder_offence(part, folder, target):
                    yield f"{place}: {offence}"
            if inside and is_test and part in CORE and inside.group(1) not in CORE:
                yield f"{place}: the core's tests must build without {inside.group(1)}/"
            for library, users in OUTSIDE.items():
                if is_test and library == "nlohmann/":  # their tables are JSON
                    continue
                if target.startswith(library) and part not in users:
                    yield f"{place}: {part}/ may not use {library}"
            if target.startswith("nlohmann/") and path.suffix == ".h" and part != "cli":
                yield f"{place}: JSON stays in .cc files"
            if not inside and target.startswith("tensorquant/") and target != "tensorquant/tensorquant.h":
                yield f"{place}: includes are written from the repository's root"


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent
    found = [*offences(root), *python_layers.offences(root)]
    print("\n".join(found) if found else "layers: good")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
