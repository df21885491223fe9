#include "report/problems_json.h"

#include <nlohmann/json.hpp>

namespace clawrun::report {

std::string problems_to_json(std::span<const spec::Problem> problems) {
  using Json = nlohmann::ordered_json;
  Json json = Json::array();
  for (const spec::Problem& problem : problems) json.push_back({{"setting", problem.setting}, {"message", problem.message}});
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace clawrun::report
