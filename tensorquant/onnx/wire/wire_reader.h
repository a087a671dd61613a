#ifndef TENSORQUANT_ONNX_WIRE_WIRE_READER_H_
#define TENSORQUANT_ONNX_WIRE_WIRE_READER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tensorquant::onnx {

// One message of protobuf's wire format (https://protobuf.dev/programming-guides/encoding), read in
// place: nothing is copied, and no length is believed that goes beyond the message around it.
//
//   while (reader.next()) {
//     if (reader.field() == 1) name = reader.text();
//   }
//
// A field that nobody asks for is skipped. Errors name the source and the byte.
class WireReader {
 public:
  // Messages in messages, at most.
  static constexpr int kDeepest = 64;

  // The file and `source` must outlive the reader.
  WireReader(std::span<const std::byte> file, const std::string& source)
      : source_(&source), begin_(file.data()), at_(file.data()), end_(file.data() + file.size()) {}

  // Steps to the next field; false at the message's end.
  bool next();
  std::uint32_t field() const { return field_; }
  // Of several values in one field, or of one alone, as protobuf lets writers choose.
  bool is_packed() const { return type_ == Type::length; }

  // The field's value. Error if the field holds another kind.
  std::int64_t integer() const;
  std::int32_t integer32() const { return static_cast<std::int32_t>(integer()); }
  float float32() const;
  double float64() const;
  std::span<const std::byte> bytes() const;
  std::string_view text() const;
  WireReader message() const;

  // The rest of a packed field, a value at a time. Its reader stands at the first.
  WireReader packed() const;
  bool at_end() const { return at_ == end_; }
  std::int64_t next_integer() { return static_cast<std::int64_t>(read_varint()); }

  // The byte of the field, or of what next_integer() reads next.
  std::size_t offset() const { return static_cast<std::size_t>(field_begin_ - begin_); }
  [[noreturn]] void fail(const std::string& reason) const;

 private:
  enum class Type : std::uint8_t { varint = 0, fixed64 = 1, length = 2, fixed32 = 5 };

  std::uint64_t read_varint();
  std::span<const std::byte> take(std::uint64_t size);
  void require(Type type) const;

  const std::string* source_;
  const std::byte* begin_;  // of the file
  const std::byte* at_;
  const std::byte* end_;
  const std::byte* field_begin_ = at_;
  std::uint32_t field_ = 0;
  Type type_ = Type::varint;
  int depth_ = 0;
  std::uint64_t number_ = 0;            // of a varint
  std::span<const std::byte> content_;  // of the other types
};

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_WIRE_WIRE_READER_H_
