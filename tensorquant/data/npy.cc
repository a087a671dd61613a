#include "tensorquant/data/npy.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "tensorquant/base/atomic_file.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"

namespace tensorquant {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kVersionEnd = kMagic.size() + 2;
constexpr std::size_t kMaxRank = 64;
constexpr std::size_t kAlignment = 64;  // of the numbers in the file
constexpr std::size_t kGrowthAxisDigits =
    21;  // NumPy leaves room to write a longer first dimension over the header

struct TypeName {
  std::string_view kind_and_size;  // as in '<f4'
  DType dtype;
};

constexpr TypeName kTypes[] = {{"b1", DType::boolean}, {"u1", DType::u8},  {"i1", DType::i8},
                               {"i2", DType::i16},     {"u2", DType::u16}, {"f2", DType::f16},
                               {"i4", DType::i32},     {"u4", DType::u32}, {"f4", DType::f32},
                               {"f8", DType::f64},     {"i8", DType::i64}, {"u8", DType::u64}};
constexpr const char* kExpectedTypes =
    "expected booleans (b1), integers (i1 to u8) or floats (f2, f4, f8)";

struct Type {
  DType dtype;
  bool big_endian;
};

struct Header {
  Type type;
  bool fortran_order;
  Shape shape;
};

[[noreturn]] void fail(const std::string& source, const std::string& reason) {
  throw Error(source + ": " + reason);
}

// Text of a file for a message: printable, on one line, not endless.
std::string printable(std::string_view text) {
  std::string result = "'";
  for (char c : text.substr(0, 40)) {
    result += c >= ' ' && c <= '~' ? c : '?';
  }
  return result + (text.size() > 40 ? "...'" : "'");
}

// Reads as much of Python's grammar as numpy.save writes:
//   {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class HeaderReader {
 public:
  // `start` is the header's place in the file.
  HeaderReader(std::string_view text, std::size_t start, const std::string& source)
      : text_(text), start_(start), source_(source) {}

  Header read() {
    std::optional<Type> type;
    std::optional<bool> fortran_order;
    std::optional<Shape> shape;
    const auto once = [this](const auto& field, const std::string& key) {
      if (field) {
        fail_here("the key '" + key + "' stands twice");
      }
    };
    expect('{');
    while (!accept('}')) {
      const std::string key(read_string());
      expect(':');
      if (key == "descr") {
        once(type, key);
        type = read_type();
      } else if (key == "fortran_order") {
        once(fortran_order, key);
        fortran_order = read_bool();
      } else if (key == "shape") {
        once(shape, key);
        shape = read_shape();
      } else {
        fail_here("expected the keys 'descr', 'fortran_order' and 'shape', found " +
                  printable(key));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) {
      fail_here("expected the end of the header");
    }
    if (!type || !fortran_order || !shape) {
      fail_here("expected the keys 'descr', 'fortran_order' and 'shape', one is missing");
    }
    return {*type, *fortran_order, std::move(*shape)};
  }

 private:
  [[noreturn]] void fail_here(const std::string& reason) const {
    fail(source_, ".npy header at byte " + std::to_string(start_ + at_) + ": " + reason);
  }

  void skip_space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  bool accept(std::string_view token) {
    skip_space();
    const bool found = text_.substr(at_).starts_with(token);
    at_ += found ? token.size() : 0;
    return found;
  }
  bool accept(char token) { return accept(std::string_view(&token, 1)); }

  void expect(char token) {
    if (!accept(token)) {
      fail_here(std::string("expected '") + token + "'");
    }
  }

  std::string_view read_string() {
    const char quote = accept('\'') ? '\'' : accept('"') ? '"' : '\0';
    const std::size_t end = quote != '\0' ? text_.find(quote, at_) : std::string_view::npos;
    if (end == std::string_view::npos) {
      fail_here("expected a string");
    }
    const std::string_view result = text_.substr(at_, end - at_);
    at_ = end + 1;
    return result;
  }

  // A byte order and a type: '<' little-endian, '>' big-endian, '=' that of this machine, '|' where
  // there is none.
  Type read_type() {
    if (accept('[')) {
      fail_here(std::string("structured types are not supported, ") + kExpectedTypes);
    }
    const std::string_view descr = read_string();
    for (const TypeName& type : kTypes) {
      if (!descr.ends_with(type.kind_and_size)) continue;
      const std::string_view order = descr.substr(0, descr.size() - type.kind_and_size.size());
      const bool has_order = size_of(type.dtype) > 1;
      if (order == "<" || order == "=" || order == ">" || (order == "|" && !has_order)) {
        return {type.dtype, order == ">" && has_order};
      }
    }
    fail_here("type " + printable(descr) + ", " + kExpectedTypes);
  }

  bool read_bool() {
    if (accept("True")) {
      return true;
    }
    if (!accept("False")) {
      fail_here("expected True or False");
    }
    return false;
  }

  Shape read_shape() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      if (shape.size() == kMaxRank) {
        fail_here("more than " + std::to_string(kMaxRank) + " dimensions");
      }
      shape.push_back(read_dimension());
      if (!accept(',')) {
        if (shape.size() == 1) {
          fail_here("expected ',' after the only dimension");
        }
        expect(')');
        break;
      }
    }
    return shape;
  }

  std::size_t read_dimension() {
    constexpr std::size_t kMax = std::numeric_limits<std::size_t>::max();
    skip_space();
    const std::size_t first = at_;
    std::size_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      const auto digit = static_cast<std::size_t>(text_[at_] - '0');
      if (value > (kMax - digit) / 10) {
        fail_here("a dimension is too large");
      }
      value = 10 * value + digit;
    }
    if (at_ == first) {
      fail_here("expected a dimension, an integer of 0 or more");
    }
    at_ += text_.substr(at_).starts_with('L') ? 1 : 0;  // a long integer of Python 2
    return value;
  }

  std::string_view text_;
  std::size_t start_;
  const std::string& source_;
  std::size_t at_ = 0;
};

void reverse_each(std::span<std::byte> bytes, std::size_t size) {
  for (std::size_t i = 0; i < bytes.size(); i += size) {
    const std::span<std::byte> one = bytes.subspan(i, size);
    std::reverse(one.begin(), one.end());
  }
}

// The first index runs fastest in `bytes`, the last one in the result, which is filled in order.
std::vector<std::byte> to_c_order(std::span<const std::byte> bytes, const Shape& shape,
                                  std::size_t size) {
  Shape strides(shape.size(), 1);
  for (std::size_t i = 1; i < shape.size(); ++i) {
    strides[i] = strides[i - 1] * shape[i - 1];
  }
  std::vector<std::byte> out(bytes.size());
  Shape index(shape.size(), 0);
  std::size_t from = 0;
  for (std::size_t to = 0; to < out.size(); to += size) {
    std::memcpy(&out[to], &bytes[from * size], size);
    for (std::size_t i = shape.size(); i-- > 0;) {
      from += strides[i];
      if (++index[i] < shape[i]) {
        break;
      }
      from -= strides[i] * shape[i];
      index[i] = 0;
    }
  }
  return out;
}

std::string header_for(const TypeName& type, const Shape& shape) {
  std::string header = std::string("{'descr': '") + (size_of(type.dtype) > 1 ? '<' : '|') +
                       std::string(type.kind_and_size) +
                       "', 'fortran_order': False, 'shape': " + to_string(shape) + ", }";
  if (!shape.empty()) {
    header.append(kGrowthAxisDigits - std::to_string(shape[0]).size(), ' ');
  }
  // NumPy adds 1 to 64 spaces, never none.
  const std::size_t length_end = kVersionEnd + 2;
  header.append(kAlignment - (length_end + header.size() + 1) % kAlignment, ' ');
  return header + "\n";
}

}  // namespace

Array read_npy(const std::filesystem::path& path) {
  return parse_npy(read_file(path), path.string());
}

Array parse_npy(std::span<const std::byte> file, const std::string& source) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (!text.starts_with(kMagic)) {
    fail(source, "is not a .npy file: expected \\x93NUMPY at its beginning");
  }
  const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(file[i]); };
  const std::size_t version = file.size() > kMagic.size() ? byte(kMagic.size()) : 0;
  const std::size_t length_end = kVersionEnd + (version == 1 ? 2 : 4);
  if (file.size() < length_end) {
    fail(source, "the file ends at byte " + std::to_string(file.size()) + " inside the header");
  }
  if (version < 1 || version > 3 || byte(kMagic.size() + 1) != 0) {
    fail(source, ".npy version " + std::to_string(version) + "." +
                     std::to_string(byte(kMagic.size() + 1)) + ", expected 1.0, 2.0 or 3.0");
  }
  std::size_t length = 0;
  for (std::size_t i = length_end; i-- > kVersionEnd;) {
    length = length << 8 | byte(i);
  }
  if (length > file.size() - length_end) {
    fail(source, "expected a header of " + std::to_string(length) + " bytes after byte " +
                     std::to_string(length_end) + ", the file ends at byte " +
                     std::to_string(file.size()));
  }
  Header header = HeaderReader(text.substr(length_end, length), length_end, source).read();
  const std::span<const std::byte> bytes = file.subspan(length_end + length);
  const std::optional<std::size_t> size = byte_count(header.type.dtype, header.shape);
  if (size != bytes.size()) {
    fail(source, "shape " + to_string(header.shape) + " of " +
                     std::string(name_of(header.type.dtype)) + ": expected " +
                     (size ? std::to_string(*size) : "more than 2^64") +
                     " bytes after the header, found " + std::to_string(bytes.size()));
  }
  Array array = {header.type.dtype, std::move(header.shape), {}};
  if (header.fortran_order) {
    array.bytes = to_c_order(bytes, array.shape, size_of(array.dtype));
  } else {
    array.bytes.assign(bytes.begin(), bytes.end());
  }
  if (header.type.big_endian) reverse_each(array.bytes, size_of(array.dtype));
  return array;
}

void write_npy(const std::filesystem::path& path, DType dtype, const Shape& shape,
               std::span<const std::byte> bytes) {
  const auto type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                 [dtype](const TypeName& type) { return type.dtype == dtype; });
  if (type == std::end(kTypes)) {
    fail(path.string(), "cannot write: .npy has no " + std::string(name_of(dtype)) + " type");
  }
  if (shape.size() > kMaxRank || byte_count(dtype, shape) != bytes.size()) {
    fail(path.string(), "cannot write: " + std::to_string(bytes.size()) + " bytes of " +
                            std::string(name_of(dtype)) + " do not make an array of shape " +
                            to_string(shape));
  }
  const std::string header = header_for(*type, shape);
  const char version_and_length[] = {1, 0, static_cast<char>(header.size() & 0xff),
                                     static_cast<char>(header.size() >> 8)};
  AtomicFile file(path);
  file.write(kMagic);
  file.write(std::string_view(version_and_length, sizeof version_and_length));
  file.write(header);
  file.write(bytes);
  file.commit();
}

}  // namespace tensorquant
