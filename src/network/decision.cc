#include "network/decision.h"

#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace clawrun::network {

namespace {

using Json = nlohmann::ordered_json;
using spec::NetworkDecision;

std::string text_at(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number_at(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

NetworkDecision decision_of(const Json& json) {
  return {.time = text_at(json, "time"),
          .host = text_at(json, "host"),
          .address = text_at(json, "address"),
          .port = static_cast<std::uint16_t>(number_at(json, "port")),
          .protocol = text_at(json, "protocol"),
          .verdict = text_at(json, "verdict"),
          .rule = text_at(json, "rule"),
          .reason = text_at(json, "reason"),
          .bytes_up = number_at(json, "bytes_up"),
          .bytes_down = number_at(json, "bytes_down"),
          .duration_ms = number_at(json, "duration_ms")};
}

std::optional<GatewayLine> line_of(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  GatewayLine line;
  const std::string event = text_at(json, "event");
  if (event == "ready") {
    line.kind = GatewayLine::Kind::kReady;
  } else if (event == "error") {
    line.kind = GatewayLine::Kind::kError;
    line.message = text_at(json, "message");
  } else if (event == "dropped") {
    line.kind = GatewayLine::Kind::kDropped;
    line.count = number_at(json, "count");
  } else if (event.empty() && json.contains("verdict")) {
    line.decision = decision_of(json);
  } else {
    return std::nullopt;
  }
  return line;
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

std::string host_and_port(const std::string& host, const NetworkDecision& decision) {
  std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
  const bool is_default = decision.protocol == "tcp" && (decision.port == 443 || decision.port == 80);
  if (decision.port != 0 && !is_default) text += ":" + std::to_string(decision.port);
  return decision.protocol == "udp" ? text + "/udp" : text;
}

// The text of the rule that is missing; "" where no rule would help.
std::string missing_rule(const NetworkDecision& decision) {
  if (!decision.rule.empty() || decision.protocol == "icmp") return {};
  // A name that was not found has no port yet.
  if (decision.protocol == "dns") return decision.reason.starts_with("no rule allows") ? decision.host : std::string();
  if (decision.reason.starts_with("no rule allows"))
    return host_and_port(decision.host.empty() ? decision.address : decision.host, decision);
  if (decision.reason.ends_with("no rule allows itself") && !decision.address.empty())
    return host_and_port(decision.address, decision);
  return {};
}

}  // namespace

std::optional<GatewayLine> parse_line(std::string_view line) {
  try {
    return line_of(Json::parse(line));
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::string log_line(const NetworkDecision& decision, const std::string& sandbox) {
  Json json;
  json["time"] = decision.time;
  json["sandbox"] = sandbox;
  json["host"] = text_or_null(decision.host);
  json["address"] = text_or_null(decision.address);
  json["port"] = decision.port;
  json["protocol"] = decision.protocol;
  json["verdict"] = decision.verdict;
  json["rule"] = text_or_null(decision.rule);
  json["reason"] = text_or_null(decision.reason);
  json["bytes_up"] = decision.bytes_up;
  json["bytes_down"] = decision.bytes_down;
  json["duration_ms"] = decision.duration_ms;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string now_text() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(since).count();
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(since).count() % 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  std::string fraction = std::to_string(1000 + millis);
  fraction[0] = '.';
  return date + fraction + "Z";
}

std::string target_of(const NetworkDecision& decision) {
  const std::string& host = decision.host.empty() ? decision.address : decision.host;
  std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (decision.port != 0 && decision.protocol != "dns") text += ":" + std::to_string(decision.port);
  return decision.protocol == "tcp" || decision.protocol == "dns" ? text : text + "/" + decision.protocol;
}

std::string refusal_in_words(const NetworkDecision& decision) {
  std::string text = "network: " + shown(target_of(decision)) + " was refused";
  if (!decision.rule.empty()) return text + ": --deny " + shown(decision.rule);
  if (const std::string rule = missing_rule(decision); !rule.empty())
    return text + ": --allow " + shown(rule) + " would allow it";
  if (decision.protocol == "icmp") return text + ": only TCP and UDP can be allowed";
  return decision.reason.empty() ? text : text + ": " + shown(decision.reason);
}

}  // namespace clawrun::network
