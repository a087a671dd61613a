#include "tensorquant/libtorch/arithmetic/layer_arithmetic.h"

#include <algorithm>
#include <utility>

#include "tensorquant/maps/place.h"

namespace tensorquant {
namespace {

LayerArithmetic with_streams(LayerArithmetic one, std::string layer, int index) {
  one.layer = std::move(layer);
  one.index = index;
  one.context.product_stream = stream_of(one.layer, Place::product, index);
  one.context.accumulator_stream = stream_of(one.layer, Place::accumulator, index);
  return one;
}

}  // namespace

void add_uses(std::vector<KernelUse>& uses, const std::vector<KernelUse>& more) {
  for (const KernelUse& use : more) {
    const auto known = std::find_if(uses.begin(), uses.end(), [&](const KernelUse& other) {
      return other.plan.kernel == use.plan.kernel && other.plan.reason == use.plan.reason;
    });
    if (known == uses.end()) {
      uses.push_back(use);
    } else {
      known->calls += use.calls;
    }
  }
}

LayerArithmetic LayerArithmetic::operation(int index) const {
  return with_streams(*this, layer, index);
}

LayerArithmetic LayerArithmetic::part(const std::string& name) const {
  return with_streams(*this, layer + "." + name, index);
}

}  // namespace tensorquant
