#!/usr/bin/env bash
# own_quantizer_test.sh PROGRAM: the example's quantizer is listed, described, and used in maps on real images.
set -euo pipefail
program=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$program" list | grep -q leaky_clip
# Steps of 1/7: 0.3 is nearest to 2/7, 5 is clipped to 1.
"$program" describe leaky_clip,4,1 0.3 5 --type float64 --json >"$scratch/described.json"
python3 - "$scratch/described.json" <<'PY'
import json, sys
results = json.load(open(sys.argv[1]))["results"]
assert [r["y"] for r in results] == [2 * (1 / 7), 1.0], results
PY

# In an ONNX file it is a node that this program alone reads.
python3 - "$(dirname "$0")/../tests/integration" "$scratch" <<'PY'
import pathlib, struct, sys
sys.path.append(sys.argv[1])
from array_files import write_npy
from onnx_files import model, node, value
folder = pathlib.Path(sys.argv[2])
(folder / "net.onnx").write_bytes(model([node("Relu", ["x"], ["y"], "relu")], [], [value("x", ["n", 4])], [value("y", ["n", 4])]))
write_npy(folder / "x.npy", "<f4", (1, 4), struct.pack("<4f", -1, 0.3, 0.45, 5))
PY
to_own=("$scratch/net.onnx" "$scratch/own.onnx" --extrinsic '{"relu": "leaky_clip,4,1"}')
if "$program" export "${to_own[@]}" 2>"$scratch/error"; then exit 1; fi
grep -q "a quantizer of a user's own has no form in ONNX" "$scratch/error"
"$program" export "${to_own[@]}" --opaque
"$program" evaluate --model "$scratch/own.onnx" --data "$scratch/x.npy" --save-outputs "$scratch/found" >/dev/null
"$program" evaluate --model "$scratch/net.onnx" --data "$scratch/x.npy" "${to_own[@]:2}" --save-outputs "$scratch/wanted" >/dev/null
cmp "$scratch/found/output_0.npy" "$scratch/wanted/output_0.npy"

data=/usr/share/datasets/fashion-mnist
[ -d "$data" ] || { echo "own_quantizer: good; training skipped, Debian's dataset-fashion-mnist is missing"; exit 0; }
echo '{"conv1": "leaky_clip,4,0.5", "fc": {"weight": "leaky_clip,6,0.25"}}' >"$scratch/weights.json"
"$program" train --model lenet5 --data "$data" --checkpoint "$scratch/net.safetensors" --epochs 1 --limit 512 \
  --weights "$scratch/weights.json" --extrinsic leaky_clip,8,4 --seed 1 --json >"$scratch/trained.json"
"$program" evaluate --model lenet5 --data "$data" --checkpoint "$scratch/net.safetensors" --limit 512 \
  --weights "$scratch/weights.json" --extrinsic leaky_clip,8,4 --json >"$scratch/evaluated.json"
python3 - "$scratch/evaluated.json" <<'PY'
import json, sys
result = json.load(open(sys.argv[1]))
assert result["images"] == 512, result
assert "leaky_clip" in json.dumps(result["maps"]), result
PY
# Faults are pointed at as those of built-in quantizers are.
if "$program" describe leaky_clip,99,1 2>"$scratch/error"; then exit 1; fi
grep -q "column 12: expected an integer W in \[2, 16\], found '99'" "$scratch/error"
echo "own_quantizer: good"
