#include "tensorquant/quantizers/tap_order.h"

#include "tensorquant/quantizers/spec_error.h"

namespace tensorquant {

std::string to_string(TapOrder order) { return order == TapOrder::channel ? "channel" : "tap"; }

TapOrder make_tap_order(std::string_view text) {
  if (text == "channel") return TapOrder::channel;
  if (text == "tap") return TapOrder::tap;
  const std::string whole(text);
  throw SpecError(whole, 1,
                  "unknown order '" + whole + "', expected " + std::string(kTapOrderWords));
}

}  // namespace tensorquant
