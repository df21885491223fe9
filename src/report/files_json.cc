#include "report/files_json.h"

#include <nlohmann/json.hpp>

namespace clawrun::report {

std::string files_to_json(std::span<const launch::FileEntry> entries) {
  using Json = nlohmann::ordered_json;
  constexpr const char* kTypes[] = {"file", "directory", "symlink", "other"};
  Json json = Json::array();
  for (const launch::FileEntry& entry : entries)
    json.push_back({{"name", entry.name},
                    {"type", kTypes[static_cast<std::size_t>(entry.type)]},
                    {"size", entry.size_bytes},
                    {"mode", entry.mode},
                    {"mtime_ms", entry.mtime_ms}});
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace clawrun::report
