#include "tensorquant/quantizers/accumulate.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "tensorquant/quantizers/spec_error.h"

namespace tensorquant {
namespace {

// The integer between two places of the text, if it is one of `least` to `most`.
int read_integer(std::string_view text, std::size_t begin, std::size_t end, int least, int most,
                 const std::string& fault) {
  int value = 0;
  const auto [stop, error] = std::from_chars(text.data() + begin, text.data() + end, value);
  if (error != std::errc{} || stop != text.data() + end || value < least || value > most) {
    throw SpecError(std::string(text), begin + 1, fault);
  }
  return value;
}

int read_chunk(std::string_view text, std::size_t begin, std::size_t end) {
  return read_integer(text, begin, end, 1, std::numeric_limits<int>::max(),
                      "the chunk of '" + std::string(text) + "' must be an integer of 1 or more");
}

}  // namespace

std::string to_string(const Accumulate& accumulate) {
  switch (accumulate.mode) {
    case Accumulate::Mode::step:
      return "step";
    case Accumulate::Mode::once:
      return "once";
    case Accumulate::Mode::chunk:
      return "chunk:" + std::to_string(accumulate.chunk);
    case Accumulate::Mode::align:
      return "align:" + std::to_string(accumulate.chunk) + ':' +
             std::to_string(accumulate.fraction);
    case Accumulate::Mode::fused:
      break;
  }
  return "fused";
}

Accumulate make_accumulate(std::string_view text) {
  const std::string whole(text);
  if (text == "step") return {Accumulate::Mode::step, 0, 0};
  if (text == "once") return {Accumulate::Mode::once, 0, 0};
  if (text == "fused") return {Accumulate::Mode::fused, 0, 0};
  constexpr std::string_view kChunk = "chunk:", kAlign = "align:";
  if (text.starts_with(kChunk)) {
    return {Accumulate::Mode::chunk, read_chunk(text, kChunk.size(), text.size()), 0};
  }
  if (text.starts_with(kAlign)) {
    const std::size_t colon = std::min(text.find(':', kAlign.size()), text.size());
    const int chunk = read_chunk(text, kAlign.size(), colon);
    const int fraction =
        read_integer(text, std::min(colon + 1, text.size()), text.size(), 1, kMaxAlignFraction,
                     "the fraction of '" + whole + "' must be an integer from 1 to " +
                         std::to_string(kMaxAlignFraction) + ", as 13 in align:32:13");
    return {Accumulate::Mode::align, chunk, fraction};
  }
  throw SpecError(whole, 1,
                  "unknown accumulate '" + whole + "', expected " + std::string(kAccumulateWords));
}

std::string accumulate_fault(const Accumulate& accumulate) {
  const bool has_chunk =
      accumulate.mode == Accumulate::Mode::chunk || accumulate.mode == Accumulate::Mode::align;
  if (has_chunk && accumulate.chunk < 1) return "a chunk must be an integer of 1 or more";
  if (accumulate.mode == Accumulate::Mode::align &&
      (accumulate.fraction < 1 || accumulate.fraction > kMaxAlignFraction)) {
    return "align's fraction must be an integer from 1 to " + std::to_string(kMaxAlignFraction);
  }
  return "";
}

}  // namespace tensorquant
