"""Tests of tensorquant.keras: run once for each KERAS_BACKEND."""

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# JAX compiles hundreds of tiny functions, and most of a test's time is XLA's optimizer.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
keras = pytest.importorskip("keras")
sys.path.append(str(Path(__file__).parents[1] / "ops"))  # golden.py


@pytest.fixture(autouse=True)
def fresh_names():
    """Automatic names of layers start anew."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)


@pytest.fixture
def no_maps_left():
    """What a test gave to the override is gone after it."""
    from tensorquant.keras import override

    yield
    override.weight_q_map = override.extr_q_map = override.intr_q_map = None
