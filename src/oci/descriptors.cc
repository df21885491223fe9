#include "oci/descriptors.h"

#include <nlohmann/json.hpp>

namespace clawrun::oci {

std::string descriptors_json(const StandardStreams& streams) {
  return nlohmann::json(streams).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<StandardStreams> parse_descriptors(std::string_view json) {
  const auto parsed = nlohmann::json::parse(json, nullptr, false);
  StandardStreams streams;
  if (!parsed.is_array() || parsed.size() != streams.size())
    return fail(ErrorKind::kInvalid, std::string(kDescriptorsFile) + " is no array of three names");
  for (std::size_t i = 0; i < streams.size(); ++i) {
    const auto* name = parsed[i].get_ptr<const std::string*>();
    if (name == nullptr || name->find('\0') != std::string::npos)
      return fail(ErrorKind::kInvalid, std::string(kDescriptorsFile) + " is no array of three names");
    streams[i] = *name;
  }
  return streams;
}

}  // namespace clawrun::oci
