#include "criu/rpc.h"

#include <algorithm>
#include <climits>

#include "base/text.h"
#include "criu/protocol.h"
#include "criu/wire.h"

namespace clawrun::criu {

namespace {

enum class Kind : std::uint8_t { kNumber, kText, kDescriptor, kCgroupRoot, kInherited, kPageServer };

struct OptionRow {
  std::string_view name;
  unsigned field;
  Kind kind;
};

// criu_opts.
constexpr OptionRow kOptions[] = {
    {"images_dir_fd", 1, Kind::kDescriptor},
    {"pid", 2, Kind::kNumber},
    {"leave_running", 3, Kind::kNumber},
    {"ext_unix_sk", 4, Kind::kNumber},
    {"tcp_established", 5, Kind::kNumber},
    {"evasive_devices", 6, Kind::kNumber},
    {"shell_job", 7, Kind::kNumber},
    {"file_locks", 8, Kind::kNumber},
    {"log_level", 9, Kind::kNumber},
    {"log_file", 10, Kind::kText},
    {"ps", 11, Kind::kPageServer},
    {"notify_scripts", 12, Kind::kNumber},
    {"root", 13, Kind::kText},
    {"parent_img", 14, Kind::kText},
    {"track_mem", 15, Kind::kNumber},
    {"auto_dedup", 16, Kind::kNumber},
    {"work_dir_fd", 17, Kind::kDescriptor},
    {"link_remap", 18, Kind::kNumber},
    {"manage_cgroups", 24, Kind::kNumber},
    {"cg_root", 25, Kind::kCgroupRoot},
    {"rst_sibling", 26, Kind::kNumber},
    {"inherit_fd", 27, Kind::kInherited},
    {"manage_cgroups_mode", 34, Kind::kNumber},
    {"external", 37, Kind::kText},
    {"empty_ns", 38, Kind::kNumber},
    {"freeze_cgroup", 44, Kind::kText},
    {"tcp_skip_in_flight", 46, Kind::kNumber},
    {"lazy_pages", 48, Kind::kNumber},
    {"status_fd", 49, Kind::kDescriptor},
    {"orphan_pts_master", 50, Kind::kNumber},
    {"config_file", 51, Kind::kText},
    {"tcp_close", 52, Kind::kNumber},
    {"lsm_profile", 53, Kind::kText},
    {"lsm_mount_context", 63, Kind::kText},
};

struct VerbRow {
  std::string_view name;
  Type type;
};
constexpr VerbRow kVerbs[] = {{"dump", Type::kDump}, {"pre-dump", Type::kPreDump}, {"restore", Type::kRestore}};

// criu_req and criu_resp, and the messages in them.
constexpr unsigned kReqType = 1;
constexpr unsigned kReqOptions = 2;
constexpr unsigned kReqNotifySuccess = 3;
constexpr unsigned kRespType = 1;
constexpr unsigned kRespSuccess = 2;
constexpr unsigned kRespRestore = 4;
constexpr unsigned kRespNotify = 5;
constexpr unsigned kRespErrno = 7;
constexpr unsigned kRespWords = 9;
constexpr unsigned kRestorePid = 1;
constexpr unsigned kNotifyScript = 1;
constexpr unsigned kNotifyPid = 2;

Failure unknown(std::string_view record) {
  return fail(ErrorKind::kInternal, "the record " + quoted(record.substr(0, 100)));
}

std::pair<std::string_view, std::string_view> at_tab(std::string_view text) {
  const std::size_t tab = text.find('\t');
  if (tab == std::string_view::npos) return {text, {}};
  return {text.substr(0, tab), text.substr(tab + 1)};
}

Result<std::uint64_t> descriptor_at(std::string_view place, std::span<const int> descriptors) {
  const std::uint64_t index = TRY(parse_unsigned(place, protocol::kMostDescriptors));
  if (index >= descriptors.size()) return fail(ErrorKind::kInternal, "a descriptor is missing");
  return static_cast<std::uint64_t>(descriptors[index]);
}

Result<> put_option(std::string& options, const OptionRow& row, std::string_view value, std::span<const int> descriptors) {
  const auto [first, second] = at_tab(value);
  std::string inner;
  switch (row.kind) {
    case Kind::kNumber: {
      const std::uint64_t number = TRY(parse_unsigned(value, UINT32_MAX));
      put_number(options, row.field, number);
      return {};
    }
    case Kind::kText:
      put_bytes(options, row.field, value);
      return {};
    case Kind::kDescriptor: {
      const std::uint64_t fd = TRY(descriptor_at(value, descriptors));
      put_number(options, row.field, fd);
      return {};
    }
    case Kind::kCgroupRoot:
      if (!first.empty()) put_bytes(inner, 1, first);
      put_bytes(inner, 2, second);
      break;
    case Kind::kInherited: {
      const std::uint64_t fd = TRY(descriptor_at(first, descriptors));
      put_bytes(inner, 1, second);
      put_number(inner, 2, fd);
      break;
    }
    case Kind::kPageServer: {
      const std::uint64_t port = TRY(parse_unsigned(first, UINT16_MAX));
      put_bytes(inner, 1, second);
      put_number(inner, 2, port);
      break;
    }
  }
  put_bytes(options, row.field, inner);
  return {};
}

Result<> read_record(std::string_view record, std::span<const int> descriptors, Request& request) {
  const auto [name, value] = at_tab(record);
  if (name == "bind_root") {
    request.bind_root = value;
    return {};
  }
  if (name == "root") request.root = value;
  if (const auto* verb = std::ranges::find(kVerbs, record, &VerbRow::name); verb != std::end(kVerbs)) {
    request.type = verb->type;
    return {};
  }
  const auto* row = std::ranges::find(kOptions, name, &OptionRow::name);
  if (row == std::end(kOptions) || value.empty()) return unknown(record);
  return put_option(request.options, *row, value, descriptors);
}

int as_int(std::uint64_t value) {
  return static_cast<int>(static_cast<std::uint32_t>(value));
}

template <typename Visit>
Result<> visit_fields(std::string_view bytes, Visit visit) {
  Fields fields(bytes);
  for (;;) {
    const auto field = TRY(fields.next());
    if (!field) return {};
    TRY(visit(*field));
  }
}

Result<> read_restored(std::string_view bytes, Answer& answer) {
  return visit_fields(bytes, [&](const Field& field) -> Result<> {
    if (field.number == kRestorePid) answer.pid = as_int(field.value);
    return {};
  });
}

Result<> read_notification(std::string_view bytes, Answer& answer) {
  return visit_fields(bytes, [&](const Field& field) -> Result<> {
    if (field.number == kNotifyScript) answer.script = field.bytes;
    if (field.number == kNotifyPid) answer.pid = as_int(field.value);
    return {};
  });
}

}  // namespace

Result<Request> read_request(std::string_view text, std::span<const int> descriptors) {
  auto records = split(text, '\0');
  if (records.size() < 2 || !records.back().empty() || records.front() != protocol::kGreeting)
    return fail(ErrorKind::kInternal, "this helper is of version " CLAWRUN_VERSION);
  records.pop_back();
  records.erase(records.begin());
  Request request;
  for (const std::string_view record : records) TRY(read_record(record, descriptors, request));
  if (request.type == Type::kEmpty) return fail(ErrorKind::kInternal, "the verb is missing");
  return request;
}

std::string request_bytes(const Request& request) {
  std::string bytes;
  put_number(bytes, kReqType, static_cast<std::uint64_t>(request.type));
  put_bytes(bytes, kReqOptions, request.options);
  return bytes;
}

std::string notified_bytes(Verdict verdict) {
  std::string bytes;
  put_number(bytes, kReqType, static_cast<std::uint64_t>(Type::kNotify));
  put_number(bytes, kReqNotifySuccess, verdict == Verdict::kGo ? 1 : 0);
  return bytes;
}

Result<Answer> read_answer(std::string_view bytes) {
  Answer answer;
  TRY(visit_fields(bytes, [&](const Field& field) -> Result<> {
    if (field.number == kRespType) answer.type = static_cast<Type>(std::min<std::uint64_t>(field.value, UINT8_MAX));
    if (field.number == kRespSuccess) answer.success = field.value != 0;
    if (field.number == kRespRestore) return read_restored(field.bytes, answer);
    if (field.number == kRespNotify) return read_notification(field.bytes, answer);
    if (field.number == kRespErrno) answer.error = as_int(field.value);
    if (field.number == kRespWords) answer.words = field.bytes;
    return {};
  }));
  return answer;
}

}  // namespace clawrun::criu
