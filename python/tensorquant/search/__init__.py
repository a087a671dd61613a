"""How many bits does each weight and each output need?

Works on any function from maps to logits: a model of any framework, a simulator, hardware. See docs/how_many_bits.md.
"""

from tensorquant.search.best_maps import Found, Step, path, search
from tensorquant.search.costs import Cost, LayerFacts, cost_names, cost_of
from tensorquant.search.evaluations import Metrics, sweep
from tensorquant.search.exact import exact
from tensorquant.search.report import report
from tensorquant.search.sensitivity import Table, sensitivity
from tensorquant.search.store import Store

__all__ = [
    "Cost",
    "Found",
    "LayerFacts",
    "Metrics",
    "Step",
    "Store",
    "Table",
    "cost_names",
    "cost_of",
    "exact",
    "path",
    "report",
    "search",
    "sensitivity",
    "sweep",
]
