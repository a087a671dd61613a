#!/usr/bin/env python3
"""tensorquant report: what a store holds is on the page, as text, and a browser draws it without asking anybody.

Usage: test_report.py PROGRAM
"""

import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM = None
ROOT = pathlib.Path(__file__).resolve().parents[2]
CHARTS = ROOT / "build" / "charts"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

HOSTILE = ["</script><img src=x onerror=alert(1)>", "<b>bold</b>", "a\"b'c&amp;", "tab\there", "überall", "{{1+1}}"]
LAYERS = ["conv1", "conv2", *HOSTILE]
WIDTHS = (8, 6, 4)


def record(maps, purpose, data, correct, lost, won=0, kl=0.01):
    maps = {kind: rules for kind, rules in maps.items() if rules}
    return {
        "key": json.dumps({"data": data, "maps": maps}), "maps": maps, "purpose": purpose, "images": 100, "correct": correct,
        "kl": kl, "logit_error": 0.1, "flips": lost + won, "lost": lost, "won": won, "seconds": 0.1,
    }


def all_layers(bits):
    quantizer = f"nearest,{bits},{bits - 1}"
    return {"weights": {f"={layer}": {"weight": quantizer} for layer in LAYERS},
            "extrinsic": {f"={layer}": quantizer for layer in LAYERS}}


def write_store(folder, model="mine", layers=LAYERS, more=()):
    """Scores of all places; uniform maps on the search images; one of them on the test images, where 90 of 100 are right in float."""
    folder.mkdir(exist_ok=True)
    (folder / "store.json").write_text(json.dumps({"model": model, "checkpoint": "0123456789abcdef", "tensorquant": "0"}))
    lines = []
    for i, layer in enumerate(layers):
        for bits in WIDTHS:
            kl = None if bits == 4 and i == 0 else 10.0 ** -bits * (i + 1)  # null: no finite number
            rule = f"nearest,{bits},{bits - 1}"
            lines.append(record({"weights": {f"={layer}": {"weight": rule}}}, "score", "aa", 95, 0, kl=kl))
            lines.append(record({"extrinsic": {f"={layer}": rule}}, "score", "aa", 95, 0, kl=0.0))
    if layers is LAYERS:
        lines += [record(all_layers(bits), "search", "bb", 92 - lost, lost) for bits, lost in ((8, 1), (6, 3), (4, 40))]
        lines.append(record(all_layers(6), "test", "cc", 86, 6, 2))
    (folder / "records-host-1-2.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines, *more]))
    return folder


class Elements(html.parser.HTMLParser):
    """What the tests ask of a page: elements by name, rows of tables by id, all text."""

    def __init__(self, text):
        super().__init__()
        self.names, self.rows, self.text, self.table, self.attributes = [], {}, [], None, {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.names.append(tag)
        if tag == "html":
            self.attributes = attrs
        if tag == "table":
            self.table = self.rows.setdefault(attrs.get("id"), [])
        elif tag == "tr" and self.table is not None:
            self.table.append([])
        elif tag == "td" and self.table:
            self.table[-1].append("")

    def handle_endtag(self, tag):
        if tag == "table":
            self.table = None

    def handle_data(self, data):
        self.text.append(data)
        if self.table and self.table[-1]:
            self.table[-1][-1] += data

    def cells(self, table):
        return [[cell.strip() for cell in row] for row in self.rows[table] if row]


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False)


class Report(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.output = self.folder / "report.html"

    def report(self, store, *arguments):
        done = run("report", "--store", store, "--output", self.output, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def fails(self, *arguments):
        done = run("report", *arguments)
        self.assertEqual(done.returncode, 1, done)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1)
        return done.stderr


class ThePage(Report):
    def setUp(self):
        super().setUp()
        self.store = write_store(self.folder / "store")

    def page(self, *arguments):
        self.report(self.store, "--tables", *arguments)
        return Elements(self.output.read_text(encoding="utf-8"))

    def test_has_a_row_for_each_place(self):
        told = json.loads(self.report(self.store, "--tables", "--json"))
        self.assertEqual((told["places"], told["maps"]), (2 * len(LAYERS), 2 * 3 * len(LAYERS) + 4))
        rows = Elements(self.output.read_text(encoding="utf-8")).cells("places")
        self.assertEqual(len(rows), 2 * len(LAYERS))
        shown = {layer.replace("\t", "\\x09") for layer in LAYERS}
        self.assertEqual({row[0].split(":", 1)[1] for row in rows}, shown)

    def test_shows_hostile_names_as_text(self):
        page = self.page()
        self.assertEqual({"img", "b"} & set(page.names), {"b"})  # <b> is a number in a tile ...
        self.assertEqual(page.names.count("b"), 4)  # ... and no layer's
        self.assertEqual(page.names.count("script"), 2)
        self.assertIn("weight:<b>bold</b>", [row[0] for row in page.cells("places")])

    def test_tells_of_the_map_that_was_tested(self):
        page = self.page()
        (settings,) = [row[1] for row in page.cells("settings") if row[0] == "checkpoint"]
        self.assertEqual(settings, "0123456789abcdef")
        text = "".join(page.text)
        self.assertIn("86.00 % ± 6.94 %", text)  # 2 sqrt(0.86 * 0.14 / 100)
        self.assertTrue(all(row[1] == "nearest,6,5" for row in page.cells("places")))
        self.assertEqual({row[0]: row[4] for row in page.cells("images")}["test"], "90.00 %")

    def test_marks_the_five_worst_places(self):
        self.page()
        text = self.output.read_text(encoding="utf-8")
        self.assertEqual(text.count('<td class="number marked"'), 5)

    def test_says_what_the_store_does_not_hold(self):
        text = "".join(self.page().text)
        self.assertIn("Costs are not told", text)
        self.assertIn("without the libraries that draw charts", text)

    def test_counts_records_that_tell_no_accuracy(self):
        self.store = write_store(self.folder / "other", more=[{"key": "k", "error": "died"}, {"key": "j", "kl": 1}])
        self.assertIn("2 records of the store tell no accuracy", "".join(self.page().text))


class AFault(Report):
    def test_of_the_store_is_told(self):
        self.assertIn("no store", self.fails("--store", self.folder / "none", "--output", self.output))
        empty = self.folder / "empty"
        empty.mkdir()
        self.assertIn("no store", self.fails("--store", empty, "--output", self.output))
        (empty / "store.json").write_text("{}")
        self.assertIn("holds no evaluated map", self.fails("--store", empty, "--output", self.output, "--tables"))
        (empty / "records-a-1-2.jsonl").write_text("no JSON\n")
        self.assertIn("records-a-1-2.jsonl:1", self.fails("--store", empty, "--output", self.output, "--tables"))
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["empty"])

    def test_of_the_output_leaves_nothing_behind(self):
        store = write_store(self.folder / "store")
        before = sorted(path.name for path in store.iterdir())
        self.assertIn("nowhere", self.fails("--store", store, "--output", self.folder / "nowhere" / "r.html", "--tables"))
        self.assertIn("store", self.fails("--store", store, "--output", store, "--tables"))
        self.assertEqual(sorted(path.name for path in store.iterdir()), before)

    def test_an_older_report_stands_until_the_new_one_is_whole(self):
        self.output.write_text("older")
        self.fails("--store", self.folder / "none", "--output", self.output)
        self.assertEqual(self.output.read_text(), "older")

    def test_without_the_libraries_says_what_to_do(self):
        store = write_store(self.folder / "store")
        error = self.fails("--store", store, "--output", self.output, "--charts", self.folder)
        self.assertIn("vega.min.js: is missing", error)
        self.assertIn("--tables", error)
        self.assertFalse(self.output.exists())

    def test_of_another_checkpoint_is_told(self):
        store = write_store(self.folder / "store", model="lenet", layers=["Conv1"])
        other = self.folder / "other"
        other.write_text("x")
        self.assertIn("is not the store's checkpoint",
                      self.fails("--store", store, "--output", self.output, "--tables", "--checkpoint", other))
        store = write_store(self.folder / "mine")
        self.assertIn("none of those that come with the program",
                      self.fails("--store", store, "--output", self.output, "--tables", "--checkpoint", other))


@unittest.skipUnless(BROWSER, "needs chromium: scripts/setup.sh browser")
@unittest.skipUnless((CHARTS / "vega.min.js").exists(), "needs build/charts: scripts/setup.sh")
class ABrowser(Report):
    def opened(self, page):
        """The page's elements once all is drawn, and what the browser has written of it on the console."""
        net_log = self.folder / "net.json"
        done = subprocess.run(
            [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
             "--disable-component-update", f"--user-data-dir={self.folder / 'profile'}", "--enable-logging=stderr",
             f"--log-net-log={net_log}", "--virtual-time-budget=60000", "--dump-dom", page.as_uri()],
            capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "HOME": str(self.folder)})
        self.assertEqual(done.returncode, 0, done.stderr)
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        # Those of a page; the browser asks its maker too, whatever the page is.
        events = [line for line in net_log.read_text(errors="replace").splitlines() if '"network_isolation_key":"file:' in line]
        urls = [url for event in events for url in re.findall(r'"url":"(https?://[^"]+)"', event)]
        return Elements(done.stdout), console, urls

    def test_draws_all_charts_and_asks_nobody(self):
        self.report(write_store(self.folder / "store"), "--charts", CHARTS)
        page, console, requests = self.opened(self.output)
        self.assertEqual(console, [])
        self.assertEqual(page.attributes.get("data-charts"), "drawn")
        self.assertEqual(len(page.cells("places")), 2 * len(LAYERS))
        self.assertEqual(page.names.count("img"), 0)
        charts = json.loads(self.output.read_text(encoding="utf-8").split('id="charts">')[1].split("</script>")[0])
        self.assertGreaterEqual(len(charts), 2)
        self.assertEqual(page.names.count("svg"), len(charts))
        labels = "".join(page.text)
        self.assertIn("weight:</script><img src=x onerror=alert(1)>", labels)
        self.assertEqual(requests, [])

    def test_shows_a_page_that_fails_as_such(self):
        """This test's own eyes: an error on the console and a request are seen."""
        page = self.folder / "bad.html"
        page.write_text('<script>console.error("bad")</script><img src="http://example.invalid/x.png">')
        _, console, requests = self.opened(page)
        self.assertNotEqual(console, [])
        self.assertIn("http://example.invalid/x.png", requests)


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
