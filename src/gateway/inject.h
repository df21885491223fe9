// Headers that the gateway adds to the requests of a host: the secret is in this process alone.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/rules.h"

namespace clawrun::gateway {

struct Injection {
  std::variant<ExactName, NamesBelow, Network> host;  // never a network
  std::string host_text;
  std::string header;
  std::string credential;
  enum class Where : std::uint8_t { kPlain, kTls } where = Where::kPlain;
};

class Injections {
 public:
  Injections() = default;
  Injections(std::vector<Injection> list, std::map<std::string, std::string> credentials)
      : list_(std::move(list)), credentials_(std::move(credentials)) {}

  using Headers = std::vector<std::pair<std::string, const std::string*>>;
  [[nodiscard]] Headers headers_for(std::string_view name, Injection::Where where) const;
  [[nodiscard]] bool has_any(std::string_view name) const;
  [[nodiscard]] const std::vector<Injection>& list() const { return list_; }

 private:
  std::vector<Injection> list_;
  std::map<std::string, std::string> credentials_;
};

bool names_host(const std::variant<ExactName, NamesBelow, Network>& host, std::string_view name);

}  // namespace clawrun::gateway
