#include "cgroup/unit_name.h"

#include <algorithm>

#include "base/text.h"

namespace clawrun::cgroup {

namespace {

constexpr std::size_t kLongestName = 255;  // systemd.unit(5)

bool may_stand_in_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view(":-_.\\@").find(c) != std::string_view::npos;
}

std::string escaped(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    if (may_stand_in_name(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += "\\x";
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 15U];
  }
  return out;
}

Failure bad_name(std::string_view name, std::string_view reason) {
  return fail(ErrorKind::kInvalid, "systemd unit " + quoted(name) + ": " + std::string(reason));
}

Result<> check_name(std::string_view name, std::string_view suffix) {
  if (name.size() > kLongestName) return bad_name(name.substr(0, 40), "a name has at most 255 bytes");
  if (!name.ends_with(suffix)) return bad_name(name, "the name must end in " + std::string(suffix));
  if (name.size() == suffix.size()) return bad_name(name, "nothing stands before " + std::string(suffix));
  if (!std::ranges::all_of(name, may_stand_in_name))
    return bad_name(name, "a name consists of letters, digits and : - _ . \\ @ only");
  return {};
}

}  // namespace

std::string default_slice(Manager manager) {
  return manager == Manager::kUser ? "user.slice" : "system.slice";
}

Result<> check_scope_name(std::string_view unit) {
  TRY(check_name(unit, ".scope"));
  if (unit.front() == '@' || unit.find("@.") != std::string_view::npos)
    return bad_name(unit, "a template has no instance that could be started");
  return {};
}

Result<> check_slice_name(std::string_view slice) {
  TRY(check_name(slice, ".slice"));
  const std::string_view stem = slice.substr(0, slice.size() - std::string_view(".slice").size());
  if (stem == "-") return {};  // the root slice
  // Each dash is a level of the tree: systemd.slice(5). A level has a name.
  if (stem.front() == '-' || stem.back() == '-' || stem.find("--") != std::string_view::npos)
    return bad_name(slice, "the dashes of a slice separate its parents' names, as in a-b.slice below a.slice: none may be empty");
  if (stem.find('@') != std::string_view::npos) return bad_name(slice, "a slice has no instances");
  return {};
}

Result<ScopeName> parse_cgroups_path(std::string_view path, Manager manager) {
  const auto parts = split(path, ':');
  if (parts.size() != 3)
    return fail(ErrorKind::kInvalid, "cgroups path " + quoted(path.substr(0, 300)) +
                                         ": the systemd driver takes slice:prefix:name, such as system.slice:clawrun:web");
  const std::string_view name = parts[2];
  if (name.empty())
    return fail(ErrorKind::kInvalid, "cgroups path " + quoted(path) + ": the name, after the second colon, is empty");
  for (const std::string_view part : parts)
    if (part.find('/') != std::string_view::npos)
      return fail(ErrorKind::kInvalid, "cgroups path " + quoted(path) +
                                           ": \"/\" has no place in slice:prefix:name (a path belongs to the cgroupfs driver)");
  if (name.ends_with(".slice"))
    return fail(ErrorKind::kInvalid, "cgroups path " + quoted(path) +
                                         ": a slice holds no processes of its own, only scopes; give a name without .slice");
  ScopeName scope{std::string(parts[0]), escaped(name) + ".scope"};
  if (scope.slice.empty()) scope.slice = default_slice(manager);
  if (!parts[1].empty()) scope.unit.insert(0, escaped(parts[1]) + "-");
  TRY(check_slice_name(scope.slice));
  TRY(check_scope_name(scope.unit));
  return scope;
}

}  // namespace clawrun::cgroup
