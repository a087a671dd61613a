#ifndef TENSORQUANT_QUANTIZERS_TAP_ORDER_H_
#define TENSORQUANT_QUANTIZERS_TAP_ORDER_H_

#include <string>
#include <string_view>

namespace tensorquant {

// The order in which a convolution adds up its products; for other layers both are the same.
enum class TapOrder {
  channel,  // for each input channel all kernel positions
  tap,      // for each kernel position all input channels, as blocks of channels need it
};

std::string to_string(TapOrder order);  // "channel", "tap"
// The inverse of to_string. Throws a SpecError.
TapOrder make_tap_order(std::string_view text);

inline constexpr std::string_view kTapOrderWords = R"("channel" or "tap")";

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_TAP_ORDER_H_
