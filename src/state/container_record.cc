#include "state/container_record.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/text.h"
#include "state/process.h"

namespace clawrun::state {

namespace {

using Json = nlohmann::json;

// In state.json of each container: a later format has another number, and reads this one too.
constexpr const char* kFormatName = "clawrun_container";
constexpr int kFormat = 1;
constexpr std::string_view kDrivers[] = {"cgroupfs", "systemd"};
// Deeper than any record: nothing that a file says is to cost more than its bytes.
constexpr int kMaxDepth = 8;
constexpr std::size_t kMaxId = 1024;

Failure bad(const std::string& what) {
  return fail(ErrorKind::kInvalid, what);
}

// Put together here and not by way of a tree of Json: `create` writes three.
std::string in_json(const std::string& text) {
  return Json(text).dump();
}

std::string in_json(const std::vector<std::string>& texts) {
  std::string list = "[";
  for (const std::string& text : texts) list += (list.size() == 1 ? "" : ",") + in_json(text);
  return list += "]";
}

std::string in_json(const std::map<std::string, std::string>& texts) {
  std::string object = "{";
  for (const auto& [name, text] : texts) object += (object.size() == 1 ? "" : ",") + in_json(name) + ":" + in_json(text);
  return object += "}";
}

std::string in_json(const cgroup::Location::Directory& directory) {
  return R"({"path":)" + in_json(directory.path) + R"(,"controllers":)" + in_json(directory.controllers) + "}";
}

std::string_view in_json(bool value) {
  return value ? "true" : "false";
}

std::string in_json(const cgroup::Location& location) {
  std::string v1 = "[";
  for (const auto& directory : location.v1) v1 += (v1.size() == 1 ? "" : ",") + in_json(directory);
  std::string text = R"({"driver":")";
  text += kDrivers[static_cast<std::size_t>(location.driver)];
  text += R"(","v2":)" + in_json(location.v2) + R"(,"v1":)" + v1 + R"(],"unit":)" + in_json(location.unit);
  text += R"(,"user_manager":)";
  text += in_json(location.user_manager);
  return text += "}";
}

std::string in_json(const ContainerRecord& record) {
  std::string text = R"({")" + std::string(kFormatName) + R"(":)" + std::to_string(kFormat);
  text += R"(,"id":)" + in_json(record.id) + R"(,"oci_version":)" + in_json(record.oci_version);
  text += R"(,"bundle":)" + in_json(record.bundle) + R"(,"rootfs":)" + in_json(record.rootfs);
  text += R"(,"init":)" + to_json(record.init) + R"(,"maker":)" + to_json(record.maker);
  text += R"(,"owner":)" + std::to_string(record.owner) + R"(,"created":)" + in_json(record.created);
  text += R"(,"annotations":)" + in_json(record.annotations) + R"(,"cgroup":)" + in_json(record.location);
  text += R"(,"systemd_cgroup":)";
  text += in_json(record.systemd_cgroup);
  text += R"(,"intel_rdt_path":)" + in_json(record.intel_rdt_path) + R"(,"rootless":)";
  text += in_json(record.rootless);
  return text += "}\n";
}

// The members of one object, each taken once. The first that is wrong is remembered, and what comes after it is not believed.
class Members {
 public:
  Members(const Json* json, std::string path) : json_(json), path_(std::move(path)) {
    if (json_ != nullptr && json_->is_object()) return;
    problem_ = path_ + ": must be an object";
    json_ = nullptr;
  }

  std::string text(const char* name) {
    const Json* value = take(name, Json::value_t::string, "a string");
    return value == nullptr ? std::string() : value->get_ref<const std::string&>();
  }

  template <typename Number>
  Number number(const char* name) {
    const Json* value = take(name, Json::value_t::number_unsigned, "a number, not negative");
    if (value == nullptr) return 0;
    const auto found = value->get<std::uint64_t>();
    if (std::cmp_less_equal(found, std::numeric_limits<Number>::max())) return static_cast<Number>(found);
    note(name, "is too large");
    return 0;
  }

  template <typename Number>
  Number number_or_none(const char* name) {
    return json_ != nullptr && json_->contains(name) ? number<Number>(name) : Number();
  }

  bool flag(const char* name) {
    const Json* value = take(name, Json::value_t::boolean, "true or false");
    return value != nullptr && value->get<bool>();
  }

  std::vector<std::string> texts(const char* name) {
    std::vector<std::string> all;
    const Json* value = take(name, Json::value_t::array, "a list of strings");
    if (value == nullptr) return all;
    for (const Json& part : *value) {
      if (!part.is_string()) note(name, "must be a list of strings");
      if (part.is_string()) all.push_back(part.get_ref<const std::string&>());
    }
    return all;
  }

  std::map<std::string, std::string> text_by_name(const char* name) {
    std::map<std::string, std::string> all;
    const Json* value = take(name, Json::value_t::object, "an object of strings");
    if (value == nullptr) return all;
    for (const auto& [key, part] : value->items()) {
      if (!part.is_string()) note(name, "must be an object of strings");
      if (part.is_string()) all.emplace(key, part.get_ref<const std::string&>());
    }
    return all;
  }

  const Json* object(const char* name) { return take(name, Json::value_t::object, "an object"); }
  const Json* list(const char* name) { return take(name, Json::value_t::array, "a list"); }

  void note(std::string_view name, std::string_view what) {
    if (problem_.empty()) problem_ = path_ + (path_.empty() ? "" : ".") + std::string(name) + ": " + std::string(what);
  }
  void adopt(const Members& below) {
    if (problem_.empty()) problem_ = below.problem();
  }

  // With members that nobody took.
  [[nodiscard]] std::string problem() const {
    if (!problem_.empty() || json_ == nullptr) return problem_;
    for (const auto& [key, value] : json_->items())
      if (!taken_.contains(key)) return path_ + (path_.empty() ? "" : ".") + shown(key) + ": there is no such member";
    return {};
  }

 private:
  const Json* take(const char* name, Json::value_t type, std::string_view type_name) {
    if (json_ == nullptr) return nullptr;
    taken_.insert(name);
    const auto found = json_->find(name);
    if (found == json_->end()) {
      note(name, "is missing");
      return nullptr;
    }
    if (found->type() == type) return &*found;
    note(name, "must be " + std::string(type_name));
    return nullptr;
  }

  const Json* json_;
  std::string path_;
  std::string problem_;
  std::set<std::string, std::less<>> taken_;
};

Process process_in(Members& members, const char* name) {
  Members below(members.object(name), name);
  const Process process{below.number<pid_t>("pid"), below.number<std::uint64_t>("start_ticks"),
                        below.number_or_none<std::uint64_t>("pidfd_inode")};
  members.adopt(below);
  return process;
}

// What is in there is killed and removed. Whose it is only cgroupsPath says, but it is below a mount point, and no name in it
// leads elsewhere.
bool is_group_path(std::string_view path) {
  const auto parts = split(path, '/');
  if (parts.size() < 3 || !parts[0].empty()) return false;
  for (const std::string_view part : std::span(parts).subspan(1))
    if (part.empty() || part == "." || part == "..") return false;
  return path.find('\0') == std::string_view::npos;
}

cgroup::Location::Directory directory_in(Members& above, const Json* json, const char* name) {
  Members members(json, std::string("cgroup.") + name);
  cgroup::Location::Directory directory{members.texts("controllers"), members.text("path")};
  above.adopt(members);
  return directory;
}

cgroup::Location location_in(Members& above) {
  Members members(above.object("cgroup"), "cgroup");
  cgroup::Location location;
  const std::string driver = members.text("driver");
  if (driver == kDrivers[1])
    location.driver = cgroup::Driver::kSystemd;
  else if (driver != kDrivers[0])
    members.note("driver", "must be cgroupfs or systemd");
  location.v2 = directory_in(members, members.object("v2"), "v2");
  if (!location.v2.path.empty() && !is_group_path(location.v2.path)) members.note("v2.path", "is no path of a cgroup");
  if (const Json* v1 = members.list("v1")) {
    for (const Json& part : *v1) {
      location.v1.push_back(directory_in(members, &part, "v1"));
      if (!is_group_path(location.v1.back().path)) members.note("v1.path", "is no path of a cgroup");
    }
  }
  location.unit = members.text("unit");
  location.user_manager = members.flag("user_manager");
  above.adopt(members);
  return location;
}

Result<ContainerRecord> from_json(const Json& json) {
  Members members(&json, "");
  if (members.number<int>(kFormatName) != kFormat) return bad("another version of clawrun wrote it");
  ContainerRecord record;
  record.id = members.text("id");
  record.oci_version = members.text("oci_version");
  record.bundle = members.text("bundle");
  record.rootfs = members.text("rootfs");
  record.init = process_in(members, "init");
  record.maker = process_in(members, "maker");
  record.owner = members.number<std::uint32_t>("owner");
  record.created = members.text("created");
  record.annotations = members.text_by_name("annotations");
  record.location = location_in(members);
  record.systemd_cgroup = members.flag("systemd_cgroup");
  record.intel_rdt_path = members.text("intel_rdt_path");
  record.rootless = members.flag("rootless");
  if (!check_container_id(record.id)) members.note("id", "is no id of a container");
  if (!record.intel_rdt_path.empty() && !is_group_path(record.intel_rdt_path))
    members.note("intel_rdt_path", "is no path of a group");
  if (const std::string problem = members.problem(); !problem.empty()) return bad(problem);
  return record;
}

// nlohmann's parser keeps the last of members with one name, and says nothing.
class DuplicateFinder {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    if (depth > kMaxDepth) deep_ = true;
    if (event == Json::parse_event_t::object_start) names_.emplace_back();
    if (event == Json::parse_event_t::object_end && !names_.empty()) names_.pop_back();
    if (event == Json::parse_event_t::key && !names_.empty() && !names_.back().insert(parsed.get<std::string>()).second)
      twice_ = true;
    return true;
  }
  [[nodiscard]] Result<> verdict() const {
    if (deep_) return bad("it is nested deeper than any record");
    if (twice_) return bad("a member is there twice");
    return {};
  }

 private:
  std::vector<std::set<std::string>> names_;
  bool twice_ = false;
  bool deep_ = false;
};

}  // namespace

Result<> check_container_id(const std::string& id) {
  if (id.empty()) return fail(ErrorKind::kInvalid, "container id cannot be empty");
  const bool plain = std::ranges::all_of(id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '+' || c == '-' ||
           c == '.';
  });
  if (plain && id != "." && id != ".." && id.size() <= kMaxId) return {};
  return fail(ErrorKind::kInvalid, "invalid container ID format");
}

Result<std::string> container_to_text(const ContainerRecord& record) {
  try {
    std::string text = in_json(record);
    if (text.size() > kMaxContainerBytes) return bad("the state of the container would be larger than 17 MiB");
    return text;
  } catch (const Json::exception&) {
    return bad("a path or an annotation of the container is not UTF-8, and cannot be recorded");
  }
}

Result<ContainerRecord> parse_container(std::string_view text) {
  if (text.size() > kMaxContainerBytes) return bad("it is larger than 17 MiB, which no record is");
  try {
    DuplicateFinder finder;
    const Json json = Json::parse(text, std::ref(finder));
    if (!json.is_object() || !json.contains(kFormatName)) return bad("another runtime wrote it");
    TRY(finder.verdict());
    return from_json(json);
  } catch (const Json::parse_error& error) {
    return bad("it is not JSON, from byte " + std::to_string(error.byte) + " on");
  } catch (const Json::exception&) {
    return bad("it is no record of a container");
  }
}

std::string hook_state_json(const ContainerRecord& record, std::string_view status) {
  // Hooks get what they can read: bytes that are no UTF-8 were refused when the record was written.
  const auto quoted = [](std::string_view text) { return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace); };
  const pid_t pid = status == "stopped" ? 0 : record.init.pid;
  std::string text = R"({"ociVersion":)" + quoted(record.oci_version) + R"(,"id":)" + quoted(record.id);
  text += R"(,"status":)" + quoted(status) + R"(,"pid":)" + std::to_string(pid) + R"(,"bundle":)" + quoted(record.bundle);
  text += R"(,"annotations":{)";
  bool first = true;
  for (const auto& [name, value] : record.annotations) {
    if (!std::exchange(first, false)) text += ',';
    text += quoted(name) + ":" + quoted(value);
  }
  return text += "}}";
}

}  // namespace clawrun::state
