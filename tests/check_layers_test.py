#!/usr/bin/env python3
"""check_layers.py finds each kind of offence, names its place, and finds none where there is none."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = pathlib.Path(__file__).with_name("check_layers.py")
FACE = "the package's own face is imported, not the module that has the name"

# A file's place, what stands in it, and what is found. The Python ones lie in python/tensorquant/.
OFFENCES = [
    ("tensorquant/base/a.h", '#include "tensorquant/maps/place.h"', "a.h:1: base/ may not include maps/"),
    ("tensorquant/base/a.h", "\n" * 501, "a.h: 501 lines, more than 500"),
    ("numbers/a.py", "x = 1\n" * 501, "a.py: 501 lines, more than 500"),
    ("a.py", "", "a.py: the part 'a' has no place in the order of parts"),
    ("lower/a.py", "", "a.py: the part 'lower' has no place in the order of parts"),
    # arrows that point up, or to a neighbour
    ("numbers/a.py", "from tensorquant.maps.override import Override", "a.py:1: numbers/ may not import maps/"),
    ("numbers/a.py", "import tensorquant.maps.override as o", "a.py:1: numbers/ may not import maps/"),
    ("numbers/a.py", "from ..maps import override", "a.py:1: numbers/ may not import maps/"),
    ("numbers/__init__.py", "from ..maps.override import Override", "__init__.py:1: numbers/ may not import maps/"),
    ("numbers/a.py", "def f():\n    if f:\n        from tensorquant.ops import linear", "a.py:3: numbers/ may not import ops/"),
    ("maps/a.py", 'import importlib\nimportlib.import_module("tensorquant.keras.plan")', "a.py:2: maps/ may not import keras/"),
    ("ops/a.py", "from tensorquant.search.cost import cost", "a.py:1: ops/ may not import search/"),
    ("frontend/a.py", "from tensorquant.keras.plan import LayerPlan", "a.py:1: frontend/ may not import keras/"),
    ("torch/a.py", "from tensorquant.keras.plan import LayerPlan", "a.py:1: torch/ may not import keras/"),
    ("keras/a.py", "from tensorquant.original import utils", "a.py:1: keras/ may not import original/"),
    ("__init__.py", "from tensorquant.ops.operation import linear", "__init__.py:1: the package's face may not import ops/"),
    # the face
    ("keras/a.py", "import tensorquant as tq", f"a.py:1: {FACE}"),
    ("keras/a.py", "import tensorquant.numbers.quantizer", f"a.py:1: {FACE}"),
    ("keras/a.py", "from tensorquant import Quantizer", f"a.py:1: {FACE}"),
    ("keras/a.py", "def f():\n    from .. import Quantizer", f"a.py:2: {FACE}"),
    ("keras/__init__.py", "from . import plan\nclass Layer:\n    pass", "__init__.py:2: __init__.py hands names on and defines"),
    # frameworks
    ("frontend/a.py", "import keras", "a.py:1: only keras/ and ops/keras may import keras"),
    ("numbers/a.py", "def f():\n    import torch.nn as nn", "a.py:2: only torch/ and ops/torch may import torch"),
    ("keras/a.py", "from tensorflow import function", "a.py:1: only tensorflow/ and ops/tensorflow may import tensorflow"),
    ("ops/torch/a.py", "import jax", "a.py:1: only jax/ and ops/jax may import jax"),
    ("ops/common.py", "import jaxlib", "common.py:1: only jax/ and ops/jax may import jaxlib"),
    ("ops/common.py", "from tensorquant.ops import torch", "common.py:1: only torch/ and ops/torch may import ops/torch"),
    ("ops/jax.py", "from tensorquant.ops.torch.memory import version", "jax.py:1: only torch/ and ops/torch may import ops/torch"),
]

GOOD = {
    "tensorquant/maps/a.h": '#include "tensorquant/base/error.h"',
    "numbers/a.py": "import numbers\nfrom tensorquant import _core\nfrom tensorquant._core import Error\nfrom . import b",
    "__init__.py": "from tensorquant.maps.override import Override\n__all__ = ['Override']",
    "ops/torch/a.py": "import torch\nfrom tensorquant.ops import common\nfrom tensorquant.ops.torch.library import op",
    "ops/jax.py": "import jax\ndef f():\n    import jaxlib",
    "torch/a.py": "import torch\nfrom tensorquant.ops.torch import quantize",
    "keras/a.py": "import keras\nfrom tensorquant.ops import backend\nimport tensorquant.frontend.marks as marks",
    "original/a.py": "from tensorquant.keras import override",
}


def check(files):
    """The exit code and the output of the check of a tree with these files."""
    with tempfile.TemporaryDirectory() as folder:
        for place, text in files.items():
            path = pathlib.Path(folder, place if place.startswith("tensorquant/") else f"python/tensorquant/{place}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        run = subprocess.run([sys.executable, CHECK, folder], check=False, capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr


class ATree(unittest.TestCase):
    def test_with_an_offence_fails_and_names_it(self):
        for place, text, wanted in OFFENCES:
            with self.subTest(place=place, text=text[:80]):
                code, output = check({place: text})
                self.assertEqual(code, 1)
                self.assertEqual(len(output.splitlines()), 1, output)
                self.assertIn(wanted, output)

    def test_without_one_is_good(self):
        self.assertEqual(check(GOOD), (0, "layers: good\n"))


if __name__ == "__main__":
    unittest.main()
