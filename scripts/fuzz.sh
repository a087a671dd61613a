#!/usr/bin/env bash
# Runs one target of fuzz/ for some seconds, after scripts/build.sh fuzz.
#   scripts/fuzz.sh kernels 1860
# What it finds new is kept in build/fuzz/corpus, and what makes it fail in build/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?usage: scripts/fuzz.sh TARGET SECONDS}
seconds=${2:?usage: scripts/fuzz.sh TARGET SECONDS}
found=build/fuzz/corpus/$target
log=build/fuzz/$target.log
mkdir -p "$found"
if ! build/fuzz/bin/"fuzz_$target" "$found" "fuzz/corpus/$target" -max_total_time="$seconds" -rss_limit_mb=2048 \
  -timeout=10 -artifact_prefix="build/fuzz/$target-" -print_final_stats=1 >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
echo "fuzz_$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions in $seconds s, no finding"
