#!/usr/bin/env python3
"""Every chart of a report is one of Vega-Lite's, by the schema that it comes with.

Usage: test_charts.py PROGRAM
"""

import copy
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from image_files import write_images

PROGRAM = None
HERE = pathlib.Path(__file__).resolve().parent
CHARTS = HERE.parents[1] / "build" / "charts"


def faults(charts):
    """What is wrong with each, None if nothing."""
    done = subprocess.run(
        ["node", HERE / "valid_charts.mjs", CHARTS], input=json.dumps(charts), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def marks(part):
    """The objects with a mark in a specification."""
    found = [part] if "mark" in part else []
    for key in ("layer", "hconcat"):
        for inner in part.get(key, []):
            found += marks(inner)
    return found


@unittest.skipUnless((CHARTS / "node_modules" / "ajv").exists() and shutil.which("node"), "needs build/charts and node: scripts/setup.sh")
class EveryChart(unittest.TestCase):
    """All that a report can have: of scores, of whole maps, of their widths, and of what tensors hold."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        write_images(cls.folder, "train", 40)
        write_images(cls.folder, "t10k", 20)
        network = "--model lenet5 --checkpoint net.safetensors"
        cls.run_program(f"train {network} --data . --epochs 1 --threads 1")
        scores = f"{network} --store runs --score-data . --images 20 --threads 1"
        cls.run_program(f"sensitivity {scores} --widths 8,2")
        cls.run_program(f"search {scores} --widths 8,5,2 --data . --search-images 20 --budget 0.5 --refine 0 --output best.json")
        cls.run_program(f"sweep {scores} --data . --uniform 8,5,2")
        report = "report --store runs --checkpoint net.safetensors --data . --images 20 --output report.html"
        cls.run_program(f"{report} --charts {CHARTS}")
        page = (cls.folder / "report.html").read_text(encoding="utf-8")
        cls.charts = json.loads(page.split('id="charts">')[1].split("</script>")[0])

    @classmethod
    def run_program(cls, line):
        done = subprocess.run([PROGRAM, *line.split()], cwd=cls.folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{line}: {done.stderr}")

    def test_is_on_the_page(self):
        made = re.findall(r"^std::string \w+_chart\(", (HERE.parents[1] / "tensorquant" / "report" / "charts.h").read_text(), re.MULTILINE)
        kinds = {json.dumps([part["mark"] for part in marks(chart)]) for chart in self.charts}
        self.assertEqual((len(made), len(kinds)), (4, 4))

    def test_is_valid(self):
        self.assertEqual(faults(self.charts), [None] * len(self.charts))

    def test_would_not_be_with_a_fault(self):
        """This test's own eyes: one fault, anywhere, is seen."""
        broken = []
        for chart in self.charts:
            for i in range(len(marks(chart))):
                for fault in (
                    lambda one: one.update(mark={"type": "barr"}),
                    lambda one: one["encoding"].update(z={"field": "bits"}),
                    lambda one: one["encoding"].update(x={"field": "bits", "type": "quantitativ"}),
                ):
                    broken.append(copy.deepcopy(chart))
                    fault(marks(broken[-1])[i])
            broken.append(chart | {"width": "wide"})
            broken.append(chart | {"data": {"values": 3}})
            broken.append(chart | {"$schema": 6})
        self.assertGreater(len(broken), 40)
        self.assertEqual([i for i, fault in enumerate(faults(broken)) if fault is None], [])


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
