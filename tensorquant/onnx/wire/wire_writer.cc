#include "tensorquant/onnx/wire/wire_writer.h"

#include <cstring>

namespace tensorquant::onnx {

void WireWriter::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) written_ += static_cast<char>((value & 0x7f) | 0x80);
  written_ += static_cast<char>(value);
}

void WireWriter::tag(std::uint32_t field, unsigned type) {
  varint((std::uint64_t{field} << 3) | type);
}

void WireWriter::integer(std::uint32_t field, std::int64_t value) {
  tag(field, 0);
  varint(static_cast<std::uint64_t>(value));
}

void WireWriter::float32(std::uint32_t field, float value) {
  tag(field, 5);
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  written_.append(bytes, sizeof value);
}

void WireWriter::bytes(std::uint32_t field, std::span<const std::byte> value) {
  text(field, {reinterpret_cast<const char*>(value.data()), value.size()});
}

void WireWriter::text(std::uint32_t field, std::string_view value) {
  tag(field, 2);
  varint(value.size());
  written_ += value;
}

void WireWriter::text_if_any(std::uint32_t field, std::string_view value) {
  if (!value.empty()) text(field, value);
}

void WireWriter::integer_if_any(std::uint32_t field, std::int64_t value) {
  if (value != 0) integer(field, value);
}

}  // namespace tensorquant::onnx
