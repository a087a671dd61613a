"""Tests of tensorquant.onnx. They need the packages onnx and onnxruntime."""

import pathlib
import sys

import pytest

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
sys.path.append(str(pathlib.Path(__file__).parents[1] / "ops"))  # golden.py
