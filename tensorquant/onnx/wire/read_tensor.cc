#include "tensorquant/onnx/wire/read_tensor.h"

#include <charconv>
#include <cstring>
#include <limits>

#include "tensorquant/base/text.h"

namespace tensorquant::onnx {
namespace {

// The fields of a TensorProto that hold elements.
constexpr std::uint32_t kFloats = 4, kInt32s = 5, kInt64s = 7, kDoubles = 10, kUint64s = 11;

bool holds_elements(std::uint32_t field) {
  return field == kFloats || field == kInt32s || field == kInt64s || field == kDoubles ||
         field == kUint64s;
}

// Which of them holds those of a type.
std::uint32_t field_of(DataType type) {
  switch (type) {
    case DataType::f32:
    case DataType::complex64:
      return kFloats;
    case DataType::i64:
      return kInt64s;
    case DataType::f64:
    case DataType::complex128:
      return kDoubles;
    case DataType::u32:
    case DataType::u64:
      return kUint64s;
    default:
      return kInt32s;
  }
}

std::string quoted(const std::string& name) { return "tensor '" + shortened(name, 80) + "'"; }

// Takes the elements of one field after the other, up to the size that the dimensions give.
class ElementReader {
 public:
  ElementReader(Tensor& tensor, std::size_t size) : tensor_(tensor), size_(size) {}

  void read(const WireReader& reader) {
    if (reader.field() != field_of(tensor_.type)) {
      reader.fail(quoted(tensor_.name) + ": its elements stand in the field of another type than " +
                  name_of(tensor_.type));
    }
    if (reader.field() == kFloats || reader.field() == kDoubles) {
      if (reader.is_packed()) {
        append(reader, reader.bytes().data(), reader.bytes().size());
      } else if (reader.field() == kFloats) {
        const float value = reader.float32();
        append(reader, &value, sizeof value);
      } else {
        const double value = reader.float64();
        append(reader, &value, sizeof value);
      }
    } else if (reader.is_packed()) {
      for (WireReader values = reader.packed(); !values.at_end();) {
        append_integer(reader, values.next_integer());
      }
    } else {
      append_integer(reader, reader.integer());
    }
  }

 private:
  void append(const WireReader& reader, const void* bytes, std::size_t size) {
    if (size > size_ - tensor_.bytes.size()) {
      reader.fail(quoted(tensor_.name) + ": has more elements than its dimensions " +
                  to_string(tensor_.dims) + " say");
    }
    const auto* first = static_cast<const std::byte*>(bytes);
    tensor_.bytes.insert(tensor_.bytes.end(), first, first + size);
  }

  // Elements of fewer than 8 bits come packed in bytes.
  void append_integer(const WireReader& reader, std::int64_t value) {
    const int bits = std::max(8, bits_of(tensor_.type));
    const bool fits = bits == 64 || (value >= -(std::int64_t{1} << (bits - 1)) &&
                                     value < std::int64_t{1} << bits);
    if (!fits) {
      reader.fail(quoted(tensor_.name) + ": " + std::to_string(value) + " is no " +
                  name_of(tensor_.type));
    }
    append(reader, &value, static_cast<std::size_t>(bits) / 8);
  }

  Tensor& tensor_;
  std::size_t size_;
};

std::int64_t read_number(const WireReader& reader, std::string_view text, const char* key) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) {
    reader.fail(std::string("external data: ") + key +
                ": expected an integer of 0 or more, found '" + shortened(text, 40) + "'");
  }
  return value;
}

void read_external(const WireReader& reader, ExternalData& external) {
  const auto [key, value] = read_entry(reader.message());
  if (key == "location") external.location = value;
  if (key == "offset") external.offset = read_number(reader, value, "offset");
  if (key == "length") external.length = read_number(reader, value, "length");
}

struct TensorFields {
  Tensor tensor;
  ExternalData external;
  bool is_external = false;
  std::optional<std::span<const std::byte>> raw;
  bool has_elements = false;
};

TensorFields read_fields(WireReader reader) {
  TensorFields read;
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        if (reader.is_packed()) {
          for (WireReader dims = reader.packed(); !dims.at_end();) {
            read.tensor.dims.push_back(dims.next_integer());
          }
        } else {
          read.tensor.dims.push_back(reader.integer());
        }
        break;
      case 2:
        read.tensor.type = static_cast<DataType>(reader.integer32());
        break;
      case 3:
        reader.fail("a tensor in segments is not supported");
      case 6:
        read.tensor.strings.emplace_back(reader.text());
        break;
      case 8:
        read.tensor.name = reader.text();
        break;
      case 9:
        read.raw = reader.bytes();
        break;
      case 13:
        read_external(reader, read.external);
        break;
      case 14:
        read.is_external = reader.integer() == 1;
        break;
      case 16:
        read.tensor.metadata.push_back(read_entry(reader.message()));
        break;
      default:
        read.has_elements = read.has_elements || holds_elements(reader.field());
    }
  }
  return read;
}

}  // namespace

Metadata::value_type read_entry(WireReader reader) {
  Metadata::value_type entry;
  while (reader.next()) {
    if (reader.field() == 1) entry.first = reader.text();
    if (reader.field() == 2) entry.second = reader.text();
  }
  return entry;
}

Tensor read_tensor(WireReader reader) {
  TensorFields read = read_fields(reader);
  Tensor& tensor = read.tensor;
  const auto fail = [&](const std::string& reason) {
    reader.fail(quoted(tensor.name) + ": " + reason);
  };
  if (tensor.type == DataType::string) {
    if (read.raw || read.is_external || read.has_elements) fail("strings are no numbers");
    if (element_count(tensor.dims) != tensor.strings.size()) {
      fail("dimensions " + to_string(tensor.dims) + ", but " +
           std::to_string(tensor.strings.size()) + " strings");
    }
    return std::move(tensor);
  }
  if (bits_of(tensor.type) == 0) fail("is of " + name_of(tensor.type) + ", which is not known");
  const std::optional<std::size_t> size = byte_count(tensor.type, tensor.dims);
  if (!size) fail("dimensions " + to_string(tensor.dims) + ": not a size");
  if (!tensor.strings.empty() || read.is_external + read.raw.has_value() + read.has_elements > 1) {
    fail("its data stand there twice");
  }
  if (read.is_external) {
    tensor.external = std::move(read.external);
    return std::move(tensor);
  }
  if (read.raw) {
    tensor.bytes.assign(read.raw->begin(), read.raw->end());
  } else {
    ElementReader elements(tensor, *size);
    for (WireReader again = reader; again.next();) {
      if (holds_elements(again.field())) elements.read(again);
    }
  }
  if (tensor.bytes.size() != *size) {
    fail("dimensions " + to_string(tensor.dims) + " of " + name_of(tensor.type) + ": expected " +
         std::to_string(*size) + " bytes, found " + std::to_string(tensor.bytes.size()));
  }
  return std::move(tensor);
}

}  // namespace tensorquant::onnx
