#ifndef TENSORQUANT_QUANTIZERS_REGISTRY_H_
#define TENSORQUANT_QUANTIZERS_REGISTRY_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/spec_reader.h"

namespace tensorquant {

// Makes a quantizer from the arguments and keywords of its string; what it does not take is an
// error.
using QuantizerFactory = std::function<std::shared_ptr<const Quantizer>(SpecReader&)>;

// Makes quantizer strings that start with `name` known to make_quantizer, and so to maps and the
// command line. `usage` and `summary` are what `tensorquant list` shows: "posit,N[,es=N]". Throws
// an Error where the name is taken or is not made of lower-case letters, digits and underscores.
// Safe to call from several threads.
void register_quantizer(const std::string& name, const std::string& usage,
                        const std::string& summary, QuantizerFactory factory);

// A line of `tensorquant list`.
struct QuantizerInfo {
  std::string name;
  std::string usage;
  std::string summary;
};

// The built-in quantizers, then the registered ones by name.
std::vector<QuantizerInfo> list_quantizers();

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_REGISTRY_H_
