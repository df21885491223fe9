#include <linux/ioprio.h>
#include <linux/sched.h>
#include <sys/resource.h>

#include <algorithm>

#include "oci/parse.h"
#include "tables/capabilities.h"

namespace clawrun::oci {

namespace {

constexpr JsonWord<int> kRlimits[] = {
    {"RLIMIT_AS", RLIMIT_AS},           {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},         {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},     {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK}, {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},       {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},     {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},   {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_STACK", RLIMIT_STACK},     {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
};

constexpr int kSchedIso = 4;  // reserved by the kernel, without a name of its own in its headers

constexpr JsonWord<int> kPolicies[] = {
    {"SCHED_OTHER", SCHED_NORMAL},      {"SCHED_FIFO", SCHED_FIFO}, {"SCHED_RR", SCHED_RR},
    {"SCHED_BATCH", SCHED_BATCH},       {"SCHED_ISO", kSchedIso},   {"SCHED_IDLE", SCHED_IDLE},
    {"SCHED_DEADLINE", SCHED_DEADLINE},
};

constexpr JsonWord<std::uint64_t> kSchedulerFlags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},   {"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
    {"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},         {"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
    {"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},       {"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
};

constexpr JsonWord<int> kIoClasses[] = {
    {"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
    {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
    {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
};

constexpr int kIoPriorities = 8;
constexpr std::uint32_t kMaxUmask = 0777;
constexpr std::uint64_t kMaxSchedulerTime = INT64_MAX;  // sched_setattr(2): the top bit must be clear

Result<ConsoleSize> console_size_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  ConsoleSize size;
  TRY(read_required(object, "height", "a number of lines", size.height));
  TRY(read_required(object, "width", "a number of columns", size.width));
  return size;
}

Result<std::uint32_t> gid_of(const JsonValue& value) {
  std::uint32_t gid = 0;
  TRY(read(value, gid, 0U, kMaxId));
  return gid;
}

Result<User> user_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  User user;
  TRY(read_member(object, "uid", user.uid, 0U, kMaxId));
  TRY(read_member(object, "gid", user.gid, 0U, kMaxId));
  TRY(read_member(object, "umask", user.umask, 0U, kMaxUmask));
  TRY(read_list(object, "additionalGids", "group ids", user.additional_gids, gid_of));
  return user;
}

// A variable without a name could be neither read nor replaced; runc refuses both forms, in other words.
Result<> read_environment(const JsonObject& process, std::vector<std::string>& target) {
  return read_list(process, "env", "strings", target, [](const JsonValue& value) -> Result<std::string> {
    const std::string_view text = TRY(value.text());
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0) return value.is_not("of the form NAME=VALUE");
    return std::string(text);
  });
}

// CAP_ and the name in capitals, as the specification has it. Anything else is one that is not known.
std::optional<std::uint32_t> capability_of(std::string_view word) {
  if (!word.starts_with("CAP_")) return std::nullopt;
  const auto number = tables::capability_number(word);
  if (!number || tables::kCapabilities[*number] != word.substr(4)) return std::nullopt;
  return number;
}

Result<> read_capabilities(const JsonObject& object, Process& process) {
  Capabilities sets;
  const auto read_set = [&](std::string_view key, std::uint64_t& set) -> Result<> {
    const auto member = object.find(key);
    if (!member) return {};
    const JsonList list = TRY(member->list("capabilities"));
    for (const JsonValue element : list.elements()) {
      const std::string_view word = TRY(element.text());
      if (const auto number = capability_of(word); number)
        set |= std::uint64_t{1} << *number;
      else if (std::ranges::find(process.unknown_capabilities, word) == process.unknown_capabilities.end())
        process.unknown_capabilities.emplace_back(word);
    }
    return {};
  };
  TRY(read_set("bounding", sets.bounding));
  TRY(read_set("effective", sets.effective));
  TRY(read_set("inheritable", sets.inheritable));
  TRY(read_set("permitted", sets.permitted));
  TRY(read_set("ambient", sets.ambient));
  process.capabilities = sets;
  return {};
}

Result<Rlimit> rlimit_of(const JsonValue& value, const std::vector<Rlimit>& others) {
  const JsonObject object = TRY(value.object());
  const JsonValue type = TRY(object.require("type", "a resource such as RLIMIT_NOFILE"));
  Rlimit rlimit;
  rlimit.resource = TRY(word_of(type, kRlimits));
  if (std::ranges::any_of(others, [&](const Rlimit& other) { return other.resource == rlimit.resource; }))
    return type.wrong("the same resource is there twice");
  TRY(read_required(object, "soft", "a whole number", rlimit.soft));
  TRY(read_required(object, "hard", "a whole number", rlimit.hard));
  if (rlimit.soft > rlimit.hard)
    return object.wrong_member("soft",
                               std::to_string(rlimit.soft) + " is more than the hard limit, " + std::to_string(rlimit.hard));
  return rlimit;
}

// What sched_setattr(2) would refuse or, worse, ignore.
Result<> check_scheduler(const JsonObject& object, const Scheduler& scheduler) {
  const bool has_nice = scheduler.policy == SCHED_NORMAL || scheduler.policy == SCHED_BATCH;
  const bool is_realtime = scheduler.policy == SCHED_FIFO || scheduler.policy == SCHED_RR;
  if (scheduler.nice != 0 && !has_nice) return object.wrong_member("nice", "goes with SCHED_OTHER and SCHED_BATCH only");
  if (scheduler.priority != 0 && !is_realtime) return object.wrong_member("priority", "goes with SCHED_FIFO and SCHED_RR only");
  if (scheduler.priority == 0 && is_realtime)
    return object.wrong_member("priority", "must be from 1 to 99 for SCHED_FIFO and SCHED_RR");
  if (scheduler.policy != SCHED_DEADLINE) {
    for (const auto& [key, time] : {std::pair{"runtime", scheduler.runtime_ns}, std::pair{"deadline", scheduler.deadline_ns},
                                    std::pair{"period", scheduler.period_ns}})
      if (time != 0) return object.wrong_member(key, "goes with SCHED_DEADLINE only");
    return {};
  }
  if (scheduler.runtime_ns == 0) return object.wrong_member("runtime", "must be more than 0 for SCHED_DEADLINE");
  if (scheduler.deadline_ns < scheduler.runtime_ns) return object.wrong_member("deadline", "must not be less than the runtime");
  if (scheduler.period_ns != 0 && scheduler.period_ns < scheduler.deadline_ns)
    return object.wrong_member("period", "must not be less than the deadline");
  return {};
}

Result<Scheduler> scheduler_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  const JsonValue policy = TRY(object.require("policy", "a policy such as SCHED_OTHER"));
  Scheduler scheduler;
  scheduler.policy = TRY(word_of(policy, kPolicies));
  TRY(read_member(object, "nice", scheduler.nice, -20, 19));
  TRY(read_member(object, "priority", scheduler.priority, 0, 99));
  std::vector<std::uint64_t> flags;
  TRY(read_list(object, "flags", "flags", flags, [](const JsonValue& flag) { return word_of(flag, kSchedulerFlags); }));
  for (const std::uint64_t flag : flags) scheduler.flags |= flag;
  TRY(read_member(object, "runtime", scheduler.runtime_ns, 0U, kMaxSchedulerTime));
  TRY(read_member(object, "deadline", scheduler.deadline_ns, 0U, kMaxSchedulerTime));
  TRY(read_member(object, "period", scheduler.period_ns, 0U, kMaxSchedulerTime));
  TRY(check_scheduler(object, scheduler));
  return scheduler;
}

Result<IoPriority> io_priority_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  const JsonValue io_class = TRY(object.require("class", "a class such as IOPRIO_CLASS_BE"));
  IoPriority priority;
  priority.io_class = TRY(word_of(io_class, kIoClasses));
  TRY(read_member(object, "priority", priority.priority, 0, kIoPriorities - 1));
  return priority;
}

Result<ExecCpuAffinity> affinity_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  ExecCpuAffinity affinity;
  if (const auto initial = object.find("initial")) TRY(read_processor_list(*initial, affinity.initial));
  if (const auto final_list = object.find("final")) TRY(read_processor_list(*final_list, affinity.final));
  return affinity;
}

Result<> read_confinement(const JsonObject& object, Process& process) {
  if (const auto capabilities = object.find("capabilities")) {
    const JsonObject sets = TRY(capabilities->object());
    TRY(read_capabilities(sets, process));
  }
  TRY(read_list(object, "rlimits", "resource limits", process.rlimits,
                [&](const JsonValue& rlimit) { return rlimit_of(rlimit, process.rlimits); }));
  TRY(read_member(object, "noNewPrivileges", process.no_new_privileges));
  TRY(read_member(object, "apparmorProfile", process.apparmor_profile));
  TRY(read_member(object, "selinuxLabel", process.selinux_label));
  TRY(read_member(object, "oomScoreAdj", process.oom_score_adj, -1000, 1000));
  if (const auto scheduler = object.find("scheduler")) process.scheduler = TRY(scheduler_of(*scheduler));
  if (const auto priority = object.find("ioPriority")) process.io_priority = TRY(io_priority_of(*priority));
  if (const auto affinity = object.find("execCPUAffinity")) process.exec_cpu_affinity = TRY(affinity_of(*affinity));
  return {};
}

}  // namespace

Result<Process> process_of(const JsonValue& value) {
  const JsonObject object = TRY(value.object());
  Process process;
  TRY(read_member(object, "terminal", process.terminal));
  if (const auto size = object.find("consoleSize")) process.console_size = TRY(console_size_of(*size));
  if (const auto user = object.find("user")) process.user = TRY(user_of(*user));
  TRY(read_required(object, "args", "the command and its arguments", process.args));
  if (process.args.empty()) return object.wrong_member("args", "is empty; it must be the command and its arguments");
  TRY(read_environment(object, process.env));
  const JsonValue cwd = TRY(object.require("cwd", "an absolute path"));
  TRY(read_absolute_path(cwd, process.cwd));
  TRY(read_confinement(object, process));
  return process;
}

std::string ignored_capabilities(const Process& process) {
  constexpr std::size_t kMostNames = 10;
  const std::vector<std::string>& names = process.unknown_capabilities;
  if (names.empty()) return {};
  std::string text = "process.capabilities: ignoring unknown capabilities:";
  for (std::size_t i = 0; i < names.size() && i < kMostNames; ++i) text += (i == 0 ? " " : ", ") + quoted_start(names[i]);
  if (names.size() > kMostNames) text += ", and " + std::to_string(names.size() - kMostNames) + " more";
  return text;
}

}  // namespace clawrun::oci
