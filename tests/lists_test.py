#!/usr/bin/env python3
"""What CONTRIBUTING.md tells of adding a format, a layer, a place or a subcommand: the lists that name them all are whole.

Each list is compared with the sources, so that who forgets one learns its name. (What a format must answer is the matter of new_format_test.py.)

Usage: lists_test.py ROOT
"""

import json
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(sys.argv.pop(1))
SOURCES = ROOT / "tensorquant"
DOCS = ROOT / "docs"

# Where Debian's libtorch keeps the layers.
TORCH_MODULES = pathlib.Path("/usr/include/torch/csrc/api/include/torch/nn/modules")
# What docs/libtorch.md leaves to libtorch: containers and transformers; and losses, by the end of their names.
LEFT_TO_LIBTORCH = r"ModuleList|ModuleDict|ParameterList|ParameterDict|Sequential|Transformer\w*|\w*Loss"


def text(*parts):
    return SOURCES.joinpath(*parts).read_text(encoding="utf-8")


def names(pattern, source):
    return set(re.findall(pattern, source, re.MULTILINE))


class ALayerOfLibtorch(unittest.TestCase):
    folder = SOURCES / "libtorch" / "nn"

    def twins(self):
        headers = "".join(path.read_text() for path in self.folder.glob("*.h") if path.name != "twin.h")
        return names(r"^TENSORQUANT_TWIN(?:_OF|_CLASS)?\((\w+)", headers) | names(r"^class (\w+)Impl\b", headers)

    def test_has_a_case_for_the_laws_that_hold_for_all(self):
        cases = names(r"^ +LAYER\(\s*(\w+)", text("libtorch", "nn", "layer_cases.cc"))
        ours_alone = {"Add"}  # torch::nn has none to compare with: arithmetic/rounded_arithmetic_test.cc
        self.assertEqual(self.twins() - ours_alone, cases)

    def test_is_reached_through_nn_h(self):
        own = {path.name for path in self.folder.glob("*.h")} - {"nn.h", "axes.h", "twin.h", "layer_cases.h"}
        self.assertEqual(names(r'"tensorquant/libtorch/nn/(\w+\.h)"', text("libtorch", "nn", "nn.h")), own)

    @unittest.skipUnless(TORCH_MODULES.is_dir(), "needs the headers of Debian's libtorch")
    def test_has_a_twin(self):
        headers = "".join(path.read_text() for path in TORCH_MODULES.rglob("*.h"))
        theirs = names(r"^TORCH_MODULE\((\w+)\)|^class (?:TORCH_API )?(\w+)\s*: public [\w:]*ModuleHolder", headers)
        theirs = {one or other for one, other in theirs}
        wanted = {name for name in theirs if not re.fullmatch(LEFT_TO_LIBTORCH, name)}
        self.assertGreater(len(wanted), 90)
        self.assertEqual(wanted - self.twins(), set())


# What a value of the intrinsic map has beside its places.
SETTINGS = {"accumulate", "outer", "order"}


class APlace(unittest.TestCase):
    # The enumerator, its map and its key there.
    places = re.findall(r'PlaceEntry\{Place::(\w+), MapKind::(\w+), "(\w+)", "\w+"\}', text("maps", "place.h"))

    def keys_of(self, kind):
        return {key for _, of, key in self.places if of == kind}

    def test_has_the_number_of_its_stream_in_the_table(self):
        table = names(r"Place::(\w+), 0, 0x", text("maps", "place_test.cc"))
        self.assertEqual(table, {place for place, _, _ in self.places})

    def test_stands_in_the_schema(self):
        rules = json.loads((DOCS / "maps.schema.json").read_text())["$defs"]
        for kind in ("weights", "intrinsic", "gradients", "optimizer"):
            (keys,) = (form["properties"] for form in rules[f"{kind}Rule"]["anyOf"] if "properties" in form)
            self.assertEqual(set(keys) - SETTINGS, self.keys_of(kind))

    def test_is_told_of_in_the_table_of_values(self):
        row = re.search(r"^\| an object \|" + r"(.*)\|" * 5 + "$", (DOCS / "maps.md").read_text(), re.MULTILINE)
        kinds = ("weights", "extrinsic", "intrinsic", "gradients", "optimizer")
        told = dict(zip(kinds, (names(r"`(\w+)`", cell) for cell in row.groups())))
        for kind in set(kinds) - {"extrinsic"}:
            self.assertEqual(told[kind] - SETTINGS, self.keys_of(kind), kind)

    def test_is_an_attribute_of_pythons_rule(self):
        bindings = (ROOT / "python" / "src" / "maps.cc").read_text()
        shown = names(r'\.def_prop_ro\("(\w+)", &part_of<', bindings)
        self.assertEqual(shown, {place for place, _, _ in self.places})


class AFormat(unittest.TestCase):
    listed = names(r'^      \{"(\w+)"', text("quantizers", "format_list.cc"))
    corpus = ROOT / "fuzz" / "corpus"

    def test_has_a_string_among_the_seeds_of_the_fuzzer(self):
        seeds = b"\n".join(path.read_bytes() for path in (self.corpus / "quantizer_string").iterdir())
        self.assertEqual(self.listed - names(r"^(\w+)", seeds.decode(errors="replace")), set())

    def test_is_reached_by_a_seed_of_the_kernels_fuzzer(self):
        count = len(self.listed)  # a seed's first byte picks one
        reached = {path.read_bytes()[0] % count for path in (self.corpus / "kernels").iterdir()}
        self.assertEqual(set(range(count)) - reached, set())


class AnOnnxOperator(unittest.TestCase):
    def test_is_told_of_on_its_page(self):
        sources = (SOURCES / "onnx_torch" / "operators").glob("*.cc")
        made = names(r'\{"(\w+)", \{\w+[<,]', "".join(path.read_text() for path in sources))
        made |= {"If"}  # its branches are steps of the plan
        (told,) = re.findall(r"^Operators of the standard's domain that are computed: ((?:.+\n)+)", (DOCS / "onnx.md").read_text(), re.MULTILINE)
        self.assertGreater(len(made), 80)
        self.assertEqual(made, set(re.findall(r"\b(?!QONNX|Of|Settings)[A-Z]\w+", told)))


class ASubcommand(unittest.TestCase):
    declared = names(r"^void add_(\w+)\(CLI::App", text("cli", "commands.h")) - {"commands"}

    def test_has_a_file_of_its_name(self):
        for name in self.declared:
            self.assertIn(f"void add_{name}(CLI::App", text("cli", f"{name}.cc"))

    def test_is_added_to_the_program(self):
        self.assertEqual(names(r"^  add_(\w+)\(app(?:, ranks)?\);", text("cli", "command_line.cc")) - {"commands"}, self.declared)

    def test_is_run_by_the_tests(self):
        integration = "".join(path.read_text() for path in sorted((ROOT / "tests" / "integration").glob("test_*.py")))
        run = names(r'(?:good|fails|run)\((?:[12], |PROGRAM, )?"(\w+)"', integration)
        tests = "".join(path.read_text() for path in sorted((SOURCES / "cli").glob("*_test.cc")))
        run |= {one or other for one, other in names(r'(?:run\(\s*\{|arguments\()"(\w+)"|^      \{"(\w+)", "--', tests)}
        self.assertEqual(self.declared - run, set())

    def test_is_told_of_in_the_readme(self):
        told = names(r"^\| `tensorquant (\w+)", (ROOT / "README.md").read_text())
        self.assertEqual(told, self.declared)


if __name__ == "__main__":
    unittest.main()
