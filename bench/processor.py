"""The processor that a benchmark ran on."""

import collections
import pathlib


def processor_name():
    """As tensorquant/measure/processor.h reads it: "AMD EPYC, family 25, model 17"."""
    lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    facts = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    return "{model name}, family {cpu family}, model {model}".format_map(
        collections.defaultdict(lambda: "unknown", facts)
    )
