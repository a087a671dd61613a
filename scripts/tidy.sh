#!/usr/bin/env bash
# Checks all C++ sources: their format with clang-format, then their habits with clang-tidy (.clang-tidy).
#   scripts/tidy.sh                 all but the Python package's: takes long, most of it in libtorch's headers
#   scripts/tidy.sh core            those that need no libtorch: some minutes
#   scripts/tidy.sh python          those of the Python package
#   scripts/tidy.sh FILE...         these
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh wheel

# Both tools in one version everywhere.
[ -x build/tidy-venv/bin/python ] || python3 -m venv build/tidy-venv
build/tidy-venv/bin/pip install --quiet clang-format==14.0.6 clang-tidy==23.1.4

git ls-files -z '*.cc' '*.h' | xargs -0 build/tidy-venv/bin/clang-format --dry-run --Werror

# Clang cannot read the headers of Debian's libtorch in C++20: those of the PyTorch wheel stand in for them.
preset=wheel
if [ "${1:-}" = core ]; then
  preset=core
  shift
elif [ "${1:-}" = python ]; then
  preset=python
  shift
  scripts/setup.sh python
  PATH=$PWD/build/venv/bin:$PATH
  set -- python/src/*.cc
else
  [ -x build/wheel-venv/bin/python ] || python3 -m venv build/wheel-venv
  build/wheel-venv/bin/pip install --quiet torch==2.13.0 numpy
  CMAKE_PREFIX_PATH=$(build/wheel-venv/bin/python -c 'import torch; print(torch.utils.cmake_prefix_path)')
  export CMAKE_PREFIX_PATH
fi
cmake --preset "$preset" -B "build/tidy-$preset" -DTENSORQUANT_BENCHMARKS=ON -DTENSORQUANT_UNITY=OFF >/dev/null

# clang-tidy brings no omp.h; GCC's goes with GCC's -fopenmp.
mkdir -p build/tidy-include
cp "$(g++ -print-file-name=include)/omp.h" build/tidy-include/

files=("$@")
if [ ${#files[@]} -eq 0 ]; then
  mapfile -t files < <(python3 -c 'import json, sys; print(*(entry["file"] for entry in json.load(sys.stdin)), sep="\n")' \
    <"build/tidy-$preset/compile_commands.json")
fi
printf '%s\0' "${files[@]}" | xargs -0 -n1 -P"$(nproc)" build/tidy-venv/bin/clang-tidy --quiet -p "build/tidy-$preset" \
  --extra-arg="-isystem$PWD/build/tidy-include"
echo "tidy: good"
