"""Tests of tensorquant.keras: run once for each KERAS_BACKEND."""

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
keras = pytest.importorskip("keras")
sys.path.append(str(Path(__file__).parents[1] / "ops"))  # golden.py


@pytest.fixture(autouse=True)
def fresh_names():
    """Automatic names of layers start anew."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)
