#!/usr/bin/env bash
# Sets up a fresh machine, builds and runs all tests.
#   scripts/test.sh            all of the following
#   scripts/test.sh cpp        C++: release with libtorch; the core without it, under AddressSanitizer and
#                              UndefinedBehaviorSanitizer
#   scripts/test.sh python     Python: the oracles behind the golden vectors, and the package, installed into a virtual environment
#                              in build/venv, with NumPy, PyTorch, TensorFlow and JAX
# Not part of "all", for their time:
#   scripts/test.sh core       C++: the core without libtorch, optimized, and an outside project that uses it
#   scripts/test.sh asan       C++: everything under both sanitizers
#   scripts/test.sh pytorch-models  the models of torchvision, timm, transformers and diffusers, and the trainers around them,
#                              in a virtual environment of their own, build/models-venv
#   scripts/test.sh wheel      C++ with the libtorch of the current PyTorch wheel
#   scripts/test.sh arm        C++: the core compiled for 64-bit Arm, its tests under qemu
#   scripts/test.sh fuzz       each fuzz target for a minute (that nothing found so far comes back, every build tests by their corpora)
#   scripts/test.sh kills [N]  sweeps whose evaluators, ranks, manager and mpirun are killed, in N rounds, a hundred if left out
#   scripts/test.sh exhaustive every float32 through kernel and reference, for all strings: about an hour
set -euo pipefail
cd "$(dirname "$0")/.."
half=${1:-all}

run_preset() {  # preset
  echo "== $1"
  scripts/build.sh "$1"
  ctest --preset "$1" --output-on-failure
}

cpp() {
  scripts/setup.sh
  run_preset release
  run_preset asan-core
}

core() {
  scripts/setup.sh core
  run_preset core
}

arm() {
  scripts/setup.sh arm
  run_preset arm
}

asan() {
  scripts/setup.sh
  run_preset asan
}

python() {
  scripts/setup.sh python
  # From here on, what the virtual environment has goes first.
  local PATH=$PWD/build/venv/bin:$PATH
  echo "== golden vectors"
  python3 tests/golden/make_vectors.py --check
  python3 tests/golden/make_arithmetic_vectors.py --check
  python3 tests/golden/make_value_vectors.py --check
  python3 tests/golden/check_oracle.py
  echo "== ONNX files beside the package onnx: what it reads of ours, its tests of operators, exact fractions"
  if [ -x build/release/bin/onnx_rewrite ]; then
    python3 tensorquant/onnx/graph/onnx_package_test.py build/release/bin/onnx_rewrite ../shared/data/onnx_models
    python3 tensorquant/onnx_torch/node_tests/node_tests.py build/release/bin/onnx_node_tests
    python3 tensorquant/onnx_torch/quantized_nodes_test.py build/release/bin/tensorquant
    python3 tensorquant/onnx_torch/quantized_models_test.py build/release/bin/tensorquant ../shared/data/onnx_models
  else
    echo "left out: it needs the programs of scripts/test.sh cpp"
  fi
  echo "== Python package"
  ruff check python
  ruff format --check python
  install_package build/pip
  pytest -q -rs --ignore=python/tests/ops --ignore=python/tests/torch --ignore=python/tests/pytorch_models \
    --ignore=python/tests/keras --ignore=python/tests/onnx
  pytest -q -rs python/tests/onnx
  # The long ones in two processes, each of which takes up to 4 GB.
  pytest -q -rs -n 2 python/tests/ops
  pytest -q -rs -n 2 python/tests/torch
  # PyTorch loads Triton, if there is one, which aborts where TensorFlow or JAX came first.
  pytest -q -p tensorquant.ops.torch --doctest-modules --pyargs tensorquant
  local backend
  for backend in tensorflow torch jax; do
    echo "== Keras on $backend"
    KERAS_BACKEND=$backend pytest -q -rs -n 2 python/tests/keras
  done
}

pytorch_models() {
  scripts/setup.sh models
  local PATH=$PWD/build/models-venv/bin:$PATH
  install_package build/models-pip
  pytest -q -rs -n 2 python/tests/pytorch_models
}

# Into the virtual environment that goes first; again, though the version be the same. Compiler and flags are those of the release,
# whose objects ccache has.
install_package() {  # build folder
  CXX=c++ pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall \
    --config-settings=build-dir="$1" --config-settings=cmake.define.TENSORQUANT_WERROR=ON .
}

# The distribution's libtorch and the wheel's have different interfaces; both must do.
wheel() {
  scripts/setup.sh wheel
  [ -x build/wheel-venv/bin/python ] || python3 -m venv build/wheel-venv
  build/wheel-venv/bin/pip install --quiet torch==2.13.0 numpy
  local torch_cmake
  torch_cmake=$(build/wheel-venv/bin/python -c 'import torch; print(torch.utils.cmake_prefix_path)')
  CMAKE_PREFIX_PATH=$torch_cmake run_preset wheel
}

fuzz() {
  scripts/setup.sh fuzz
  echo "== fuzz"
  scripts/build.sh fuzz
  printf '%s\n' quantizer_string map idx safetensors npy npz onnx kernels calibration | xargs -P "$(nproc)" -I{} scripts/fuzz.sh {} 60
}

kills() {
  scripts/setup.sh
  echo "== kills"
  scripts/build.sh release simulated_evaluator simulated_sweep_jobs simulated_sweep_ranks
  python3 tests/kills/kills_test.py build/release/bin "${1:-100}"
}

exhaustive() {
  scripts/setup.sh core
  echo "== exhaustive"
  scripts/build.sh core exhaustive
  build/core/bin/exhaustive
}

case "$half" in
  all) cpp; python ;;
  cpp | python | core | asan | arm | wheel | fuzz | exhaustive) "$half" ;;
  kills) kills "${2:-100}" ;;
  pytorch-models) pytorch_models ;;
  *) echo "usage: scripts/test.sh [cpp|python|core|asan|arm|wheel|pytorch-models|fuzz|kills|exhaustive]" >&2; exit 2 ;;
esac
