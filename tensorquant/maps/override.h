#ifndef TENSORQUANT_MAPS_OVERRIDE_H_
#define TENSORQUANT_MAPS_OVERRIDE_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tensorquant/maps/quantizer_map.h"

namespace tensorquant {

// The maps that a model is overridden with: which quantizers go into which layers.
struct Override {
  // One file with all maps: {"weights": {...}, "extrinsic": {...}, "intrinsic": {...}, "gradients":
  // {...}, "optimizer": {...}}, each of which may be left out or be a bare quantizer string. Throws
  // an Error with file, line and column.
  static Override from_file(const std::filesystem::path& path);
  static Override from_json(std::string_view text);

  QuantizerMap weights = QuantizerMap({}, MapKind::weights);
  QuantizerMap extrinsic = QuantizerMap({}, MapKind::extrinsic);
  QuantizerMap intrinsic = QuantizerMap({}, MapKind::intrinsic);
  // Of training, which Python's front-end for PyTorch quantizes.
  QuantizerMap gradients = QuantizerMap({}, MapKind::gradients);
  QuantizerMap optimizer = QuantizerMap({}, MapKind::optimizer);
  std::uint64_t seed = 0;  // of random rounding
  bool strict = false;     // a rule that does nothing is an error

  bool empty() const;
  QuantizerMap& operator[](MapKind kind);
  const QuantizerMap& operator[](MapKind kind) const;
  // Throws an Error where a map stands in a place of another kind, as extrinsic =
  // QuantizerMap({...}) without MapKind::extrinsic.
  void check_kinds() const;
  // For front-ends that quantize no training: throws an Error that names the first rule about it.
  void refuse_training() const;
  // Canonical JSON of the maps, empty ones left out; seed and strict are not part of it.
  std::string to_json() const;
  bool operator==(const Override&) const = default;
};

// What the maps say about one layer. The pointers belong to the Override and are null where no rule
// hits.
struct LayerExplanation {
  std::string layer;
  const Rule* weights = nullptr;
  const Rule* extrinsic = nullptr;
  const Rule* intrinsic = nullptr;
  const Rule* gradients = nullptr;
  const Rule* optimizer = nullptr;

  const Rule*& operator[](MapKind kind);
  const Rule* operator[](MapKind kind) const;
};

// A rule that does nothing: its key hits no layer, or only layers that earlier keys have taken.
struct IdleRule {
  MapKind kind = MapKind::weights;
  const Rule* rule = nullptr;
  const Rule* shadowed_by = nullptr;  // the first of the earlier rules; null: the key hits no layer
  // Of one of the first 64 keys that hit no layer: the nearest name; of "op:" the types there are.
  std::string suggestion;
  bool suggests_mover = false;  // that layer would be hit if it did more than move numbers
  std::string message() const;  // one line
};

struct Explanation {
  std::vector<LayerExplanation> layers;  // in the order given
  std::vector<IdleRule> idle;            // in the order of the maps and of their rules
};

// Which rule chooses each layer's quantizers, and which rules do nothing. The result points into
// `maps`. Throws an Error as check_kinds() does.
Explanation explain(const Override& maps, const std::vector<NamedLayer>& layers);
Explanation explain(Override&&, const std::vector<NamedLayer>&) = delete;  // it would dangle

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_OVERRIDE_H_
