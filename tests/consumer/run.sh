#!/usr/bin/env bash
# Installs a build and uses it from an outside project, by find_package and by add_subdirectory.
#   run.sh BUILD_DIR TORCH OPENMP    (ON or OFF, as the build has them)
set -euo pipefail
build=$(realpath "$1")
with_torch=$2
with_openmp=$3
source_dir=$(realpath "$(dirname "$0")/../..")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cmake --install "$build" --prefix "$scratch/prefix" >"$scratch/install.log"
"$(dirname "$0")/check_installed.py" "$scratch/prefix" "$source_dir" "$with_torch"
cp -r "$source_dir/tests/consumer" "$scratch/project"

consume() {  # name, cmake arguments...
  local name=$1
  shift
  cmake -S "$scratch/project" -B "$scratch/$name" -G Ninja -DCONSUMER_TORCH="$with_torch" \
    -DCMAKE_BUILD_TYPE=Release "$@" >"$scratch/$name.log" 2>&1 || { cat "$scratch/$name.log"; exit 1; }
  cmake --build "$scratch/$name" >"$scratch/$name.log" 2>&1 || { cat "$scratch/$name.log"; exit 1; }
  "$scratch/$name/core_consumer"
  [ "$with_torch" = OFF ] || "$scratch/$name/torch_consumer"
}

refused() {  # component, reason
  mkdir -p "$scratch/refused"
  printf 'cmake_minimum_required(VERSION 3.25)\nproject(x LANGUAGES CXX)\nfind_package(tensorquant REQUIRED COMPONENTS %s)\n' "$1" \
    >"$scratch/refused/CMakeLists.txt"
  if cmake -S "$scratch/refused" -B "$scratch/refused/$1" -G Ninja -DCMAKE_PREFIX_PATH="$scratch/prefix" \
    >"$scratch/refused.log" 2>&1; then echo "find_package took the component $1"; exit 1; fi
  tr -s ' \n' ' ' <"$scratch/refused.log" | grep -q "$2" || { cat "$scratch/refused.log"; exit 1; }
}

refused cuda "there is no component cuda; there are core and torch"
[ "$with_torch" = ON ] || refused torch "built without libtorch"
consume find_package -DCMAKE_PREFIX_PATH="$scratch/prefix"
# Our sources' objects come from the cache of the release build, which has the same flags.
consume add_subdirectory -DCONSUMER_SUBDIRECTORY="$source_dir" -DTENSORQUANT_OPENMP="$with_openmp" -DTENSORQUANT_WERROR=ON \
  -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)"
echo "consumer: good"
