"""The examples in the documents run, and everything public is documented."""

import doctest
import pathlib

import pytest

import tensorquant as tq

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
EXPORTED = [name for name in tq.__all__ if getattr(getattr(tq, name), "__doc__", None)]


def run(text, name):
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    test = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    output = []
    runner.run(test, out=output.append)
    assert runner.failures == 0, "".join(output)
    return runner.tries


def test_the_examples_of_the_page_on_python_run():
    assert run((DOCS / "python.md").read_text(), "python.md") > 5


def test_the_examples_of_the_page_on_bits_run():
    assert run((DOCS / "how_many_bits.md").read_text(), "how_many_bits.md") > 8


@pytest.mark.parametrize("name", [name for name in EXPORTED if name != "__version__"])
def test_everything_public_is_documented(name):
    thing = getattr(tq, name)
    assert thing.__doc__.strip()
    if callable(thing) and not isinstance(thing, type):
        doc = thing.__doc__
        takes_nothing = name in ("list_quantizers", "list_hardware", "get_num_threads")
        assert takes_nothing or "Args:" in doc
        assert "Example:" in doc


def test_the_version_has_three_numbers():
    assert tq.__version__.count(".") == 2
