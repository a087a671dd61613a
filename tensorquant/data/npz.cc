#include "tensorquant/data/npz.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/read_file.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/data/zip.h"

namespace tensorquant {
namespace {

constexpr std::string_view kExtension = ".npy";  // of members; their names in NumPy lack it
constexpr std::string_view kSeparator = ".npz:";
constexpr std::size_t kListed = 10;

std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kListed); ++i) {
    text += (i > 0 ? ", " : "") + printable(names[i]);
  }
  return text + (names.size() > kListed ? ", ..." : "");
}

}  // namespace

Array parse_npz(std::span<const std::byte> file, const std::string& name,
                const std::string& source) {
  const auto fail = [&](const std::string& reason) { throw Error(source + ": " + reason); };
  if (!is_zip(file)) fail("is not a .npz file: expected PK at its beginning");
  std::vector<ZipMember> arrays;
  std::vector<std::string> names;
  for (ZipMember& member : zip_members(file, source)) {
    if (!member.name.ends_with(kExtension)) continue;
    names.push_back(member.name.substr(0, member.name.size() - kExtension.size()));
    arrays.push_back(std::move(member));
  }
  if (names.empty()) fail("holds no array");
  std::size_t index = 0;
  if (!name.empty()) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) fail("holds no array '" + printable(name) + "', but " + list(names));
    if (std::find(found + 1, names.end(), name) != names.end()) {
      fail("holds two arrays '" + printable(name) + "'");
    }
    index = static_cast<std::size_t>(found - names.begin());
  } else if (names.size() > 1) {
    fail("holds " + std::to_string(names.size()) + " arrays; add :NAME, one of " + list(names));
  }
  return parse_npy(unzip(file, arrays[index], source), source + ":" + printable(names[index]));
}

bool names_npz_member(const std::string& location) {
  std::error_code ignored;
  return location.find(kSeparator) != std::string::npos &&
         !std::filesystem::exists(location, ignored);
}

Array read_array(const std::string& location) {
  if (names_npz_member(location)) {
    const std::size_t colon = location.find(kSeparator) + kSeparator.size() - 1;
    const std::string path = location.substr(0, colon);
    return parse_npz(read_file(path), location.substr(colon + 1), path);
  }
  const std::vector<std::byte> file = read_file(location);
  return is_zip(file) ? parse_npz(file, "", location) : parse_npy(file, location);
}

}  // namespace tensorquant
