"""tensorquant.search.report: what searches in Python leave in a store, as the page of the command line."""

import html
import os
import pathlib
import re
import subprocess

import numpy as np
import pytest
from searches import logits

import tensorquant as tq
import tensorquant.search as tqs

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "release" / "bin" / "tensorquant"

RNG = np.random.default_rng(3)
X = RNG.standard_normal((90, 6)).astype(np.float32)
HOSTILE = "</script><b>"
WEIGHTS = {
    HOSTILE: RNG.standard_normal((6, 8)).astype(np.float32),
    "fc": RNG.standard_normal((8, 3)).astype(np.float32),
}
PLACES = {f"weight:{name}": weight for name, weight in WEIGHTS.items()}
FACTS = [
    tqs.LayerFacts(HOSTILE, macs=48, terms=6, weights=48, inputs=6, outputs=8),
    tqs.LayerFacts("fc", macs=24, terms=8, weights=24, inputs=8, outputs=3, sources=[HOSTILE]),
]


def evaluator(images):
    return lambda maps: logits(WEIGHTS, images, maps)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Scores of two places at three widths; two maps on test images."""
    made = tqs.Store(tmp_path_factory.mktemp("runs"), model="mine")
    table = tqs.sensitivity(evaluator(X[:40]), PLACES, [8, 4, 2], store=made)
    tqs.sweep(evaluator(X[40:]), [table.maps([0, 0]), table.maps([1, 1])], store=made)
    return made


def cells(page, table):
    """The texts of a table's cells, row by row."""
    body = re.search(rf'<table id="{table}">.*?<tbody>(.*?)</tbody>', page, re.DOTALL).group(1)
    return [
        [html.unescape(re.sub("<.*?>", "", cell)) for cell in re.findall("<td.*?</td>", row)]
        for row in re.findall("<tr>.*?</tr>", body)
    ]


def written(store, folder, **arguments):
    output = folder / "report.html"
    assert tqs.report(store, output, **arguments) is None
    return output.read_text(encoding="utf-8")


def test_a_store_of_python_has_all_that_a_report_needs(store, tmp_path):
    page = written(store, tmp_path, tables=True)
    assert [row[0] for row in cells(page, "places")] == [f"weight:{HOSTILE}", "weight:fc"]
    assert {(row[0], row[1], row[3]) for row in cells(page, "images")} == {
        ("test", "50", "2"),
        ("score", "40", "6"),
    }
    assert "records of the store tell no accuracy" not in page
    assert "<b>" not in re.sub(r'<div class="tile"><b>', "", page)
    assert "Costs are not told" in page


def test_facts_tell_costs(store, tmp_path):
    page = written(store, tmp_path, facts=FACTS, tables=True)
    costs = {row[0]: row[1:3] for row in cells(page, "costs")}
    assert costs["float, 32 bits"] == ["73.7 k", "2.3 k"]  # 72 * 32 * 32 and 72 * 32
    # The input of the first layer stays float; fc reads what it leaves, of 8 bits.
    assert costs["all weights and outputs, 8 bits"][0] == "13.8 k"  # 48 * 8 * 32 + 24 * 8 * 8
    told = [bops for name, (bops, _) in costs.items() if re.fullmatch("[0-9a-f]{16}", name)]
    assert told == ["9.22 k"]  # 72 * 4 * 32: the cheaper one of those tested
    assert [row[4] for row in cells(page, "places")] == ["48", "24"]
    assert [row[0] for row in cells(page, "accumulators")] == [HOSTILE, "fc"]
    assert len(cells(page, "front")) >= 1


def test_accumulators_have_the_worst_case_of_their_formats(store, tmp_path):
    maps = tq.Override(
        weights={"": {"weight": "nearest,4,2"}},
        extrinsic={f"={HOSTILE}": "nearest,6,3"},
        intrinsic={"=fc": "nearest,9,5"},
    )
    page = written(store, tmp_path, facts=FACTS, maps=maps, tables=True)
    assert "The map is maps, handed to report()." in page
    first, fc = cells(page, "accumulators")
    # 8 products of -8 and -32 make 2048, which needs 13 bits.
    assert fc[3:] == ["4", "6", "9", "", "13"]
    assert first[3:] == ["4", "32", "", "", ""]
    assert [row[0] for row in cells(page, "places")] == [
        f"weight:{HOSTILE}",
        f"output:{HOSTILE}",
        "weight:fc",
    ]


def test_a_file_names_the_map(store, tmp_path):
    path = tmp_path / "best.json"
    path.write_text('{"weights": {"=fc": {"weight": "nearest,3,1"}}}')
    page = written(store.folder, tmp_path, maps=path, tables=True)
    assert f"The map is {path}, named by maps." in page
    assert [row[1] for row in cells(page, "places")] == ["float", "nearest,3,1"]


def test_charts_come_from_where_they_are_told_to_lie(store, tmp_path, monkeypatch):
    folder = tmp_path / "charts"
    folder.mkdir()
    for name in ("vega", "vega-lite", "vega-embed"):
        (folder / f"{name}.min.js").write_text(f"/* {name} of the test */")
    told = written(store, tmp_path, charts=folder)
    assert "/* vega-lite of the test */" in told
    monkeypatch.setenv("TENSORQUANT_CHARTS", str(folder))
    assert written(store, tmp_path) == told
    assert "of the test" not in written(store, tmp_path, tables=True)
    (folder / "vega-embed.min.js").unlink()
    with pytest.raises(
        tq.Error, match=r"^.*/vega-embed\.min\.js: is missing.*; with tables=True .*$"
    ) as caught:
        tqs.report(store, tmp_path / "other.html")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "other.html").exists()


def test_faults_are_one_line_and_leave_an_older_report(store, tmp_path):
    output = tmp_path / "report.html"
    output.write_text("older")
    empty = tqs.Store(tmp_path / "empty", model="mine")
    for arguments, reason in [
        ((empty,), "holds no evaluated map"),
        ((tmp_path / "nowhere",), "no store"),
    ]:
        with pytest.raises(tq.Error, match=reason) as caught:
            tqs.report(*arguments, output, tables=True)
        assert "\n" not in str(caught.value)
    with pytest.raises(tq.Error, match="unknown technology '3nm'"):
        tqs.report(store, output, facts=FACTS, technology="3nm", tables=True)
    with pytest.raises(tq.Error, match="which is not before it"):
        tqs.report(store, output, facts=FACTS[::-1], tables=True)
    with pytest.raises(tq.Error, match="charts or tables=True"):
        tqs.report(store, output, charts=tmp_path, tables=True)
    assert output.read_text() == "older"


@pytest.mark.skipif(not PROGRAM.exists(), reason="needs build/release/bin/tensorquant")
@pytest.mark.parametrize("charts", [False, True])
def test_the_command_line_writes_the_same_bytes(store, tmp_path, charts):
    folder = tmp_path / "charts"
    folder.mkdir()
    for name in ("vega", "vega-lite", "vega-embed"):
        (folder / f"{name}.min.js").write_text(f"/* {name} */")
    ours, theirs = tmp_path / "ours.html", tmp_path / "theirs.html"
    tqs.report(store, ours, **({"charts": folder} if charts else {"tables": True}))
    how = ["--charts", folder] if charts else ["--tables"]
    subprocess.run(
        [PROGRAM, "report", "--store", store.folder, "--output", theirs, *how],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert ours.read_bytes() == theirs.read_bytes()
