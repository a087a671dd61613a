#!/usr/bin/env bash
# Installs what the project needs on Debian 12 (or a newer Debian or Ubuntu), as root or with sudo. Does nothing where all is there.
#   scripts/setup.sh [core|wheel|python|models|fuzz|arm|browser]
#       core: without libtorch; wheel: with what a PyTorch wheel needs as well;
#       python: core, and a virtual environment in build/venv with the array libraries;
#       fuzz: core, and clang with its libFuzzer;
#       arm: core, and what compiles it for 64-bit Arm and runs it: compiler, libraries, qemu;
#       browser: all, and Chromium, in which a test opens a report;
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
  arm) packages+=(g++-aarch64-linux-gnu qemu-user {libhwy,libgtest,libgmock,zlib1g}-dev:arm64 libgomp1:arm64) ;;
  python) packages+=(python3-venv python3-dev dataset-fashion-mnist) ;;
  models) packages+=(python3-venv python3-dev) ;;
  wheel) packages+=(python3-venv "${with_libtorch[@]}") ;;
  browser) packages+=("${with_libtorch[@]}" chromium) ;;
  *) packages+=("${with_libtorch[@]}") ;;
esac
# What draws the charts of reports comes from npm, for the program alone.
case "$what" in
  "" | browser | wheel) wants_charts=1; command -v npm >/dev/null || packages+=(nodejs npm) ;;
  *) wants_charts= ;;
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
  [ "$what" != arm ] || "${as_root[@]}" dpkg --add-architecture arm64
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
[ ${#missing[@]} -eq 0 ] || install_missing

make_venv() {  # directory requirements
  [ -x "$1/bin/python" ] || python3 -m venv "$1"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2"
}
cd "$(dirname "$0")/.."

# Vega, Vega-Lite and Vega-Embed, by the hashes of the lock file, into build/charts, and ajv, with which a test holds charts against
# Vega-Lite's schema. Without them reports have tables alone.
make_charts() {
  local lock=tensorquant/report/npm/package-lock.json name
  cmp -s "$lock" build/charts/package-lock.json && return
  mkdir -p build/charts
  cp tensorquant/report/npm/package.json build/charts/
  cp "$lock" build/charts/npm-shrinkwrap.json
  if ! (cd build/charts && npm ci --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error >/dev/null); then
    echo "setup: npm could not fetch what draws charts: 'tensorquant report' needs --tables until scripts/setup.sh can" >&2
    return
  fi
  for name in vega vega-lite vega-embed; do
    cp "build/charts/node_modules/$name/build/$name.min.js" build/charts/
    cp "build/charts/node_modules/$name/LICENSE" "build/charts/LICENSE.$name"
  done
  cp "$lock" build/charts/package-lock.json  # all is there
}
[ -z "$wants_charts" ] || make_charts
case "$what" in
  python) make_venv build/venv python/tests/requirements.txt ;;
  models) make_venv build/models-venv python/tests/pytorch_models/requirements.txt ;;
esac
