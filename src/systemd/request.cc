#include "systemd/request.h"

#include <utility>

#include "base/text.h"
#include "cgroup/systemd_protocol.h"

namespace clawrun::systemd {

namespace {

namespace protocol = cgroup::systemd_protocol;

constexpr std::uint64_t kLongestDeadlineMs = 86'400'000;

Failure unknown(std::string_view line) {
  return fail(ErrorKind::kInternal, "the line " + quoted(line.substr(0, 100)));
}

std::pair<std::string_view, std::string_view> at_blank(std::string_view line) {
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos) return {line, {}};
  return {line.substr(0, blank), line.substr(blank + 1)};
}

Result<> parse_line(std::string_view line, Request& request) {
  const auto [word, rest] = at_blank(line);
  if (!request.properties.empty() && word.size() == 1) {
    request.properties.back().steps.push_back({word[0], std::string(rest)});
  } else if (word == "property" && !rest.empty()) {
    const auto [name, signature] = at_blank(rest);
    request.properties.push_back({std::string(name), std::string(signature), {}});
  } else if (word == "deadline") {
    request.deadline_ms = TRY(parse_unsigned(rest, kLongestDeadlineMs));
  } else if (word == "bus" || word == "peer") {
    request.sockets.push_back({word == "peer", std::string(rest)});
  } else if (word == "start" || word == "set" || word == "stop") {
    request.verb = word;
    request.unit = rest;
  } else {
    return unknown(line);
  }
  return {};
}

}  // namespace

Result<Request> parse_request(std::string_view text) {
  auto lines = split(text, '\n');
  if (lines.size() < 2 || !lines.back().empty() || lines.front() != protocol::kGreeting)
    return fail(ErrorKind::kInternal, "this helper is of version " CLAWRUN_VERSION);
  lines.pop_back();
  lines.erase(lines.begin());
  Request request;
  for (const std::string_view line : lines) TRY(parse_line(line, request));
  if (request.verb.empty() || request.unit.empty() || request.sockets.empty() || request.deadline_ms == 0)
    return fail(ErrorKind::kInternal, "a line is missing");
  return request;
}

}  // namespace clawrun::systemd
