#include "tensorquant/onnx/wire/wire_reader.h"

#include <bit>
#include <cstring>

#include "tensorquant/base/error.h"

namespace tensorquant::onnx {

static_assert(std::endian::native == std::endian::little, "numbers are read without swapping");

namespace {

constexpr int kLongestVarint = 10;  // bytes of 7 bits for 64 bits

const char* name_of(std::uint8_t type) {
  switch (type) {
    case 0:
      return "an integer";
    case 1:
      return "8 bytes";
    case 2:
      return "a length and bytes";
    default:
      return "4 bytes";
  }
}

}  // namespace

void WireReader::fail(const std::string& reason) const {
  throw Error(*source_ + ": byte " + std::to_string(offset()) + ": " + reason);
}

bool WireReader::next() {
  if (at_ == end_) return false;
  field_begin_ = at_;
  const std::uint64_t tag = read_varint();
  if (tag >> 3 == 0 || tag >> 32 != 0) fail("no field has the number " + std::to_string(tag >> 3));
  field_ = static_cast<std::uint32_t>(tag >> 3);
  switch (tag & 7) {
    case 0:
      type_ = Type::varint;
      number_ = read_varint();
      return true;
    case 1:
      type_ = Type::fixed64;
      content_ = take(8);
      return true;
    case 2:
      type_ = Type::length;
      content_ = take(read_varint());
      return true;
    case 5:
      type_ = Type::fixed32;
      content_ = take(4);
      return true;
    default:
      fail("wire type " + std::to_string(tag & 7) + ": is not the protobuf of an ONNX model");
  }
}

std::uint64_t WireReader::read_varint() {
  std::uint64_t value = 0;
  for (int i = 0; i < kLongestVarint; ++i) {
    if (at_ == end_) fail("the message ends inside an integer");
    const auto byte = std::to_integer<std::uint64_t>(*at_++);
    if (i == kLongestVarint - 1 && byte > 1) break;
    value |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) return value;
  }
  fail("an integer of more than 64 bits");
}

std::span<const std::byte> WireReader::take(std::uint64_t size) {
  const auto rest = static_cast<std::uint64_t>(end_ - at_);
  if (size > rest) {
    fail("a length of " + std::to_string(size) + " bytes where the message has " +
         std::to_string(rest) + " more");
  }
  const std::span<const std::byte> taken(at_, static_cast<std::size_t>(size));
  at_ += size;
  return taken;
}

void WireReader::require(Type type) const {
  if (type_ != type) {
    fail("field " + std::to_string(field_) + ": expected " +
         name_of(static_cast<std::uint8_t>(type)) + ", found " +
         name_of(static_cast<std::uint8_t>(type_)));
  }
}

std::int64_t WireReader::integer() const {
  require(Type::varint);
  return static_cast<std::int64_t>(number_);
}

float WireReader::float32() const {
  require(Type::fixed32);
  float value = 0;
  std::memcpy(&value, content_.data(), sizeof value);
  return value;
}

double WireReader::float64() const {
  require(Type::fixed64);
  double value = 0;
  std::memcpy(&value, content_.data(), sizeof value);
  return value;
}

std::span<const std::byte> WireReader::bytes() const {
  require(Type::length);
  return content_;
}

std::string_view WireReader::text() const {
  const std::span<const std::byte> text = bytes();
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

WireReader WireReader::packed() const {
  const std::span<const std::byte> content = bytes();
  WireReader inner = *this;
  inner.at_ = content.data();
  inner.end_ = content.data() + content.size();
  return inner;
}

WireReader WireReader::message() const {
  WireReader inner = packed();
  if (++inner.depth_ > kDeepest) {
    fail("messages are nested more than " + std::to_string(kDeepest) + " deep");
  }
  inner.field_begin_ = inner.at_;
  return inner;
}

}  // namespace tensorquant::onnx
