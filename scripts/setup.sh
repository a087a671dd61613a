#!/usr/bin/env bash
# Installs what the project needs on Debian 12 (or a newer Debian or Ubuntu), as root or with sudo. Does nothing where all is there.
#   scripts/setup.sh [core|wheel]    (core: without libtorch; wheel: with what a PyTorch wheel needs as well)
set -euo pipefail

packages=(g++ cmake ninja-build ccache git python3
          libhwy-dev nlohmann-json3-dev zlib1g-dev libgtest-dev libgmock-dev)
[ "${1:-}" != wheel ] || packages+=(python3-venv)
[ "${1:-}" = core ] || packages+=(libtorch-dev libcli11-dev dataset-fashion-mnist)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

command -v apt-get >/dev/null || { echo "setup: please install: ${missing[*]}" >&2; exit 1; }
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: as root, please install: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "setup: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
