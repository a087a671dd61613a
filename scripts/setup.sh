#!/usr/bin/env bash
# Installs what the project needs on Debian 12 (or a newer Debian or Ubuntu), as root or with sudo. Does nothing where all is there.
#   scripts/setup.sh [core|wheel|python|models|fuzz]
#       core: without libtorch; wheel: with what a PyTorch wheel needs as well;
#       python: core, and a virtual environment in build/venv with the array libraries;
#       fuzz: core, and clang with its libFuzzer;
#       models: core, and one in build/models-venv with PyTorch and libraries of models for it
set -euo pipefail

what=${1:-}
packages=(g++ cmake ninja-build ccache git python3
          libhwy-dev nlohmann-json3-dev zlib1g-dev libgtest-dev libgmock-dev)
# libtorch takes the BLAS that the system names: OpenBLAS on libtorch's own OpenMP threads. The other OpenBLAS has threads of its own,
# which make training half as long again. A BLAS that the machine's owner prefers stays preferred.
with_libtorch=(libtorch-dev libopenblas0-openmp libcli11-dev dataset-fashion-mnist
               libopenmpi-dev openmpi-bin)
case "$what" in
  core) ;;
  fuzz) packages+=(clang libclang-rt-14-dev) ;;
  python) packages+=(python3-venv python3-dev dataset-fashion-mnist) ;;
  models) packages+=(python3-venv python3-dev) ;;
  wheel) packages+=(python3-venv "${with_libtorch[@]}") ;;
  *) packages+=("${with_libtorch[@]}") ;;
esac

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
install_missing() {
  command -v apt-get >/dev/null || { echo "setup: please install: ${missing[*]}" >&2; exit 1; }
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "setup: as root, please install: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  echo "setup: installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
[ ${#missing[@]} -eq 0 ] || install_missing

make_venv() {  # directory requirements
  [ -x "$1/bin/python" ] || python3 -m venv "$1"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2"
}
cd "$(dirname "$0")/.."
case "$what" in
  python) make_venv build/venv python/tests/requirements.txt ;;
  models) make_venv build/models-venv python/tests/pytorch_models/requirements.txt ;;
esac
