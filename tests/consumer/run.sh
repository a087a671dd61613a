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

consume find_package -DCMAKE_PREFIX_PATH="$scratch/prefix"
consume add_subdirectory -DCONSUMER_SUBDIRECTORY="$source_dir" -DTENSORQUANT_OPENMP="$with_openmp"
echo "consumer: good"
