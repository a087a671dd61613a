#!/usr/bin/env python3
"""Tells two runs of a benchmark apart, by what its --json printed.

Usage: compare.py BEFORE.json AFTER.json

A file is a list of rows. A number X that comes with X_low and X_high is a median with its quartiles and is compared; the row's
strings and whole numbers say what was measured. Where the quartiles of both runs overlap, the difference is noise.
"""

import argparse
import json
import pathlib
import sys


def medians(row):
    """The names of the row's numbers that come with their quartiles."""
    return [name for name in row if f"{name}_low" in row and f"{name}_high" in row]


def key_of(row):
    """What was measured: ("ours", "nearest,8,4", "4096", "1")."""
    numbers = {name + suffix for name in medians(row) for suffix in ("", "_low", "_high")}
    return tuple(
        str(value)
        for name, value in row.items()
        if name not in numbers and isinstance(value, (str, int))
    )


def read(path):
    """The rows of a file by what was measured.

    Args:
        path: a file that a benchmark's --json printed.

    Raises:
        SystemExit: it is no such file.
    """
    try:
        rows = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        sys.exit(f"compare.py: {path}: {error.strerror}")
    except ValueError as error:
        sys.exit(f"compare.py: {path}: {error}")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        sys.exit(f"compare.py: {path}: expected a list of objects")
    if not any(medians(row) for row in rows):
        sys.exit(f"compare.py: {path}: no row has a median with quartiles")
    by_key = {key_of(row): row for row in rows}
    if len(by_key) < len(rows):
        sys.exit(f"compare.py: {path}: rows that measure the same")
    return by_key


def verdict(before, after, name):
    """How the row `after` differs from `before` in the number `name`.

    Returns:
        "more", "less" or "same": the latter where the quartiles overlap.
    """
    if after[f"{name}_low"] > before[f"{name}_high"]:
        return "more"
    if after[f"{name}_high"] < before[f"{name}_low"]:
        return "less"
    return "same"


def compare(before, after):
    """Yields a line for each row that both have, and for each that one lacks."""
    for key, row in before.items():
        what = " | ".join(key)
        if key not in after:
            yield f"gone        {what}"
            continue
        other = after[key]
        for name in medians(row):
            if f"{name}_low" not in other:
                continue
            ratio = f"{other[name] / row[name]:.3f}" if row[name] else "-"
            yield f"{verdict(row, other, name):4}  x {ratio:>6}  {what}: {name} {row[name]:.4g} -> {other[name]:.4g}"
    for key in after:
        if key not in before:
            yield f"new         {' | '.join(key)}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before")
    parser.add_argument("after")
    arguments = parser.parse_args()
    for line in compare(read(arguments.before), read(arguments.after)):
        print(line)


if __name__ == "__main__":
    main()
