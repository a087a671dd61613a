#!/usr/bin/env bash
# Configures and builds a preset of CMakePresets.json: scripts/build.sh release [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
cmake --preset "$preset" >"/tmp/tensorquant-configure-$$.log" 2>&1 ||
  { cat "/tmp/tensorquant-configure-$$.log" >&2; rm -f "/tmp/tensorquant-configure-$$.log"; exit 1; }
rm -f "/tmp/tensorquant-configure-$$.log"
cmake --build --preset "$preset" ${1:+--target "$@"}
