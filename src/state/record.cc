#include "state/record.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "base/text.h"
#include "spec/settings.h"
#include "state/process.h"

namespace clawrun::state {

namespace {

using Json = nlohmann::json;

constexpr int kFormat = 1;
constexpr std::string_view kDrivers[] = {"cgroupfs", "systemd"};
constexpr std::string_view kNoSum = "0000000000000000";

Failure bad(std::string_view what) {
  return fail(ErrorKind::kInvalid, std::string(what));
}

void cut(std::vector<std::string>& command) {
  std::size_t room = kLongestCommandBytes;
  for (std::size_t i = 0; i < command.size(); ++i) {
    if (command[i].size() < room) {
      room -= command[i].size() + 1;  // an argument without bytes takes room too
      continue;
    }
    command[i].resize(room);
    command.resize(i + 1);
    command.emplace_back("...");
    return;
  }
}

// The text of a record is put together here and not by way of a tree of Json: each start writes two, the first of them before it
// can do anything else, and the tree took 30 us of that.
std::string in_json(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string in_json(const std::vector<std::string>& texts) {
  std::string list = "[";
  for (const std::string& text : texts) list += (list.size() == 1 ? "" : ",") + in_json(text);
  return list += "]";
}

std::string in_json(const cgroup::Location::Directory& directory) {
  return R"({"path":)" + in_json(directory.path) + R"(,"controllers":)" + in_json(directory.controllers) + "}";
}

std::string in_json(const cgroup::Location& location) {
  std::string v1 = "[";
  for (const auto& directory : location.v1) v1 += (v1.size() == 1 ? "" : ",") + in_json(directory);
  return R"({"driver":")" + std::string(kDrivers[static_cast<std::size_t>(location.driver)]) + R"(","v2":)" +
         in_json(location.v2) + R"(,"v1":)" + v1 + R"(],"unit":)" + in_json(location.unit) + R"(,"user_manager":)" +
         (location.user_manager ? "true" : "false") + "}";
}

// FNV-1a: it is to notice what is half written, not what is forged.
std::string checksum(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  std::string digits(kNoSum);
  for (char& digit : digits) {
    digit = kHex[hash & 15U];
    hash >>= 4U;
  }
  return digits;
}

std::string in_json(const Record& record) {
  return R"({"clawrun_sandbox":)" + std::to_string(kFormat) + R"(,"sum":")" + std::string(kNoSum) + R"(","id":)" +
         in_json(record.id) + R"(,"supervisor":)" + to_json(record.supervisor) + R"(,"first":)" + to_json(record.first) +
         R"(,"owner":)" + std::to_string(record.owner) + R"(,"created_ms":)" + std::to_string(record.created_ms) +
         R"(,"command":)" + in_json(record.command) + R"(,"rootfs":)" + in_json(record.rootfs) + R"(,"cgroup":)" +
         in_json(record.location) + "}";
}

Process process_from_json(const Json& json) {
  return {json.at("pid").get<pid_t>(), json.at("start_ticks").get<std::uint64_t>(), json.value<std::uint64_t>("pidfd_inode", 0)};
}

cgroup::Location::Directory directory_from_json(const Json& json) {
  return {json.at("controllers").get<std::vector<std::string>>(), json.at("path").get<std::string>()};
}

cgroup::Location location_from_json(const Json& json) {
  cgroup::Location location;
  const std::string driver = json.at("driver").get<std::string>();
  location.driver = driver == kDrivers[1] ? cgroup::Driver::kSystemd : cgroup::Driver::kCgroupfs;
  location.v2 = directory_from_json(json.at("v2"));
  for (const Json& directory : json.at("v1")) location.v1.push_back(directory_from_json(directory));
  location.unit = json.at("unit").get<std::string>();
  location.user_manager = json.at("user_manager").get<bool>();
  return location;
}

Record from_json(const Json& json) {
  Record record;
  record.id = json.at("id").get<std::string>();
  record.supervisor = process_from_json(json.at("supervisor"));
  record.first = process_from_json(json.at("first"));
  record.owner = json.at("owner").get<std::uint32_t>();
  record.created_ms = json.at("created_ms").get<std::uint64_t>();
  record.command = json.at("command").get<std::vector<std::string>>();
  record.rootfs = json.at("rootfs").get<std::string>();
  record.location = location_from_json(json.at("cgroup"));
  return record;
}

// What is in there is killed and removed, so no record may name a group that is not the sandbox's: its name has the sandbox's id
// in it, or is the unit that systemd made for it.
Result<> check_group(std::string_view path, const Record& record) {
  const auto parts = split(path, '/');
  if (parts.size() < 3 || !parts[0].empty()) return bad("the path of a cgroup is not absolute");
  for (const std::string_view part : std::span(parts).subspan(1))
    if (part.empty() || part == "." || part == "..") return bad("the path of a cgroup has an empty, . or .. part");
  if (parts.back().find(record.id) == std::string_view::npos && parts.back() != record.location.unit)
    return bad("the cgroup " + shown(path) + " is not one of this sandbox");
  return {};
}

Result<> check(const Record& record) {
  TRY(check_id(record.id));
  if (record.supervisor.pid <= 0 || record.first.pid < 0) return bad("a pid is not a pid");
  if (!record.location.v2.path.empty()) TRY(check_group(record.location.v2.path, record));
  for (const auto& directory : record.location.v1) TRY(check_group(directory.path, record));
  return {};
}

std::string canonical(const Record& record) {
  std::string text = in_json(record);
  return text.replace(text.find(kNoSum), kNoSum.size(), checksum(text));
}

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

Result<> check_id(const std::string& id) {
  if (spec::is_sandbox_name(id)) return {};
  return bad(clawrun::quoted(id) + " is no name of a sandbox");
}

Result<std::string> to_text(Record record, std::size_t at_least) {
  cut(record.command);
  TRY(check(record));
  try {
    // A path that came back as another would be another cgroup's.
    for (const auto& directory : record.location.v1)
      if (!is_ascii(directory.path)) (void)Json(directory.path).dump();
    if (!is_ascii(record.location.v2.path)) (void)Json(record.location.v2.path).dump();
  } catch (const Json::exception&) {
    return bad("the path of the cgroup is not UTF-8, and cannot be recorded");
  }
  std::string text = canonical(record) + "\n";
  if (text.size() < at_least) text.insert(text.size() - 1, at_least - text.size(), ' ');
  if (text.size() > kMaxRecordBytes) return bad("the record of the sandbox would be larger than 64k");
  return text;
}

Result<Record> parse_record(std::string_view text) {
  if (text.size() > kMaxRecordBytes) return bad("larger than 64k, which no record is");
  try {
    const Json json = Json::parse(text);
    Record record = from_json(json);
    TRY(check(record));
    // One comparison for all that could be otherwise: other keys, repeated ones, numbers out of range, another format.
    text.remove_suffix(text.ends_with('\n') ? 1 : 0);
    while (text.ends_with(' ')) text.remove_suffix(1);
    if (canonical(record) != text) return bad("not as this version of clawrun writes a record");
    return record;
  } catch (const Json::parse_error& error) {
    return bad("not JSON, from byte " + std::to_string(error.byte) + " on");
  } catch (const Json::exception&) {
    return bad("not the record of a sandbox: a member is missing or has another type");
  }
}

Result<Record> read_record(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return fail_errno("looking at it");
  // One byte more than a record may have, so that a larger file is noticed.
  std::string text(std::min(static_cast<std::size_t>(status.st_size), kMaxRecordBytes + 1), '\0');
  const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
  if (size < 0) return fail_errno("reading it");
  text.resize(static_cast<std::size_t>(size));
  return parse_record(text);
}

}  // namespace clawrun::state
