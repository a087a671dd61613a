#ifndef TENSORQUANT_BASE_SHA256_H_
#define TENSORQUANT_BASE_SHA256_H_

#include <cstddef>
#include <span>
#include <string>

namespace tensorquant {

// SHA-256 (FIPS 180-4) as 64 hexadecimal digits: tells files apart, as sha256sum does.
std::string sha256(std::span<const std::byte> bytes);

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_SHA256_H_
