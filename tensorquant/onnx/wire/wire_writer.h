#ifndef TENSORQUANT_ONNX_WIRE_WIRE_WRITER_H_
#define TENSORQUANT_ONNX_WIRE_WIRE_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tensorquant::onnx {

// Writes one message of protobuf's wire format. Called in the order of the fields' numbers it gives
// the bytes that protobuf's own libraries give.
class WireWriter {
 public:
  void integer(std::uint32_t field, std::int64_t value);
  void float32(std::uint32_t field, float value);
  void bytes(std::uint32_t field, std::span<const std::byte> value);
  void text(std::uint32_t field, std::string_view value);
  void message(std::uint32_t field, const WireWriter& value) { text(field, value.written_); }
  // Nothing for an empty text, or for 0.
  void text_if_any(std::uint32_t field, std::string_view value);
  void integer_if_any(std::uint32_t field, std::int64_t value);

  const std::string& written() const { return written_; }

 private:
  void varint(std::uint64_t value);
  void tag(std::uint32_t field, unsigned type);

  std::string written_;
};

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_WIRE_WIRE_WRITER_H_
