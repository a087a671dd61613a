#include "tensorquant/maps/faults.h"

#include <algorithm>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "" : separator) + part;
  return all;
}

}  // namespace

Faults::Fault& Faults::fault(Form form, const std::string& reason) {
  const auto found = std::find_if(faults_.begin(), faults_.end(), [&](const Fault& one) {
    return one.form == form && one.reason == reason;
  });
  return found != faults_.end() ? *found : faults_.emplace_back(Fault{form, reason, {}});
}

void Faults::add(const std::string& reason) { fault(Form::alone, reason); }

void Faults::add_to_list(const std::string& reason, const std::string& layer) {
  fault(Form::list, reason).layers.push_back(layer);
}

void Faults::add_of_layer(const std::string& layer, std::string reason) {
  const std::string place = "layer " + layer + ": ";
  if (reason.starts_with(place)) reason.erase(0, place.size());
  fault(Form::layers_first, reason).layers.push_back(layer);
}

std::string Faults::text() const {
  std::vector<std::string> texts;
  for (const Fault& fault : faults_) {
    const std::string layers = joined(fault.layers, ", ");
    switch (fault.form) {
      case Form::alone:
        texts.push_back(fault.reason);
        break;
      case Form::list:
        texts.push_back(fault.reason + ": " + layers);
        break;
      case Form::layers_first:
        texts.push_back((fault.layers.size() > 1 ? "layers " : "layer ") + layers + ": " +
                        fault.reason);
        break;
    }
  }
  return joined(texts, "; ");
}

void Faults::refuse() const {
  if (!empty()) throw Error(text());
}

}  // namespace tensorquant
