"""What a store holds as one HTML file."""

import os
import pathlib
import sys
from collections.abc import Iterable

from tensorquant import _core
from tensorquant.maps.override import Override
from tensorquant.search.costs import LayerFacts
from tensorquant.search.store import Store

# Of this package, and of the program where both are installed in one place.
_CHARTS = (
    pathlib.Path(__file__).parents[1] / "charts",
    pathlib.Path(sys.prefix) / "share" / "tensorquant" / "charts",
)


def report(
    store: Store | str | os.PathLike,
    output: str | os.PathLike,
    *,
    facts: Iterable[LayerFacts] = (),
    technology: str = "45nm",
    maps: Override | str | os.PathLike | None = None,
    charts: str | os.PathLike | None = None,
    tables: bool = False,
) -> None:
    """Writes what a store holds as one HTML file that needs no network, as `tensorquant report` does.

    Args:
        store: A Store or its folder.
        output: The file; one that is there is replaced when the new one is whole.
        facts: Of the model's layers in the order of execution, for costs and accumulator widths.
        technology: 45nm or 7nm, for energies.
        maps: The map that is told of place by place, or a file with it; the cheapest of those evaluated on test images if left out.
        charts: Folder with vega.min.js, vega-lite.min.js and vega-embed.min.js. If left out, that of the environment variable
            TENSORQUANT_CHARTS, else the files that came with this package.
        tables: No charts: none of these files is needed.

    Raises:
        Error: The store holds no evaluated map, a file is missing, or the output cannot be written.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import tensorquant as tq
        >>> from tensorquant.search import Store, sweep
        >>> folder = tempfile.TemporaryDirectory()
        >>> x = np.eye(3, dtype=np.float32)
        >>> def evaluate(maps):
        ...     q = maps.weights.find("fc")
        ...     return x if q is None else q(x)
        >>> store = Store(folder.name, model="mine")
        >>> [metrics] = sweep(evaluate, [tq.Override(weights={"=fc": "nearest,4,2"})], store=store)
        >>> report(store, folder.name + "/report.html", tables=True)
        >>> "nearest,4,2" in open(folder.name + "/report.html").read()
        True
    """
    if tables and charts is not None:
        raise _core.Error("report() takes charts or tables=True")
    folder = store.folder if isinstance(store, Store) else os.fspath(store)
    _core.write_report(
        folder,
        os.fspath(output),
        list(facts),
        technology,
        _named(maps),
        None if tables else os.fspath(charts or _charts_folder()),
    )


def _charts_folder() -> str | os.PathLike:
    told = os.environ.get("TENSORQUANT_CHARTS")
    return told or next((one for one in _CHARTS if one.is_dir()), _CHARTS[0])


def _named(maps: Override | str | os.PathLike | None) -> tuple[str, str, str] | None:
    if maps is None:
        return None
    if isinstance(maps, Override):
        return "maps", "handed to report()", maps.to_json()
    path = os.fspath(maps)
    return path, "named by maps", Override.from_file(path).to_json()
