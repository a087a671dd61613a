#include "tensorquant/quantizers/accumulate.h"

#include <charconv>

#include "tensorquant/quantizers/spec_error.h"

namespace tensorquant {

std::string to_string(const Accumulate& accumulate) {
  switch (accumulate.mode) {
    case Accumulate::Mode::step:
      return "step";
    case Accumulate::Mode::once:
      return "once";
    case Accumulate::Mode::chunk:
      return "chunk:" + std::to_string(accumulate.chunk);
    case Accumulate::Mode::fused:
      break;
  }
  return "fused";
}

Accumulate make_accumulate(std::string_view text) {
  const std::string whole(text);
  if (text == "step") return {Accumulate::Mode::step, 0};
  if (text == "once") return {Accumulate::Mode::once, 0};
  if (text == "fused") return {Accumulate::Mode::fused, 0};
  constexpr std::string_view kChunk = "chunk:";
  if (!text.starts_with(kChunk)) {
    throw SpecError(
        whole, 1,
        "unknown accumulate '" + whole + R"(', expected "step", "once", "chunk:N" or "fused")");
  }
  int chunk = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + kChunk.size(), end, chunk);
  if (error != std::errc{} || stop != end || chunk < 1) {
    throw SpecError(whole, kChunk.size() + 1,
                    "the chunk of '" + whole + "' must be an integer of 1 or more");
  }
  return {Accumulate::Mode::chunk, chunk};
}

}  // namespace tensorquant
