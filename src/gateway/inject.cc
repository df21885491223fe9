#include "gateway/inject.h"

namespace clawrun::gateway {

bool names_host(const std::variant<ExactName, NamesBelow, Network>& host, std::string_view name) {
  if (const auto* exact = std::get_if<ExactName>(&host)) return exact->name == name;
  const auto* below = std::get_if<NamesBelow>(&host);
  return below != nullptr && name.size() > below->suffix.size() && name.ends_with(below->suffix);
}

Injections::Headers Injections::headers_for(std::string_view name, Injection::Where where) const {
  Headers headers;
  for (const Injection& injection : list_)
    if (injection.where == where && names_host(injection.host, name))
      headers.emplace_back(injection.header, &credentials_.at(injection.credential));
  return headers;
}

bool Injections::has_any(std::string_view name) const {
  for (const Injection& injection : list_)
    if (names_host(injection.host, name)) return true;
  return false;
}

}  // namespace clawrun::gateway
