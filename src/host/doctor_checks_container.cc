// Where we are: container managers, and what their seccomp filter or masks take away.
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>

#include "base/text.h"
#include "host/doctor_checks.h"
#include "host/files.h"

namespace clawrun::host {

namespace {

std::string status_field(std::string_view status, std::string_view key) {
  for (const std::string_view line : split(status, '\n')) {
    if (!line.starts_with(key)) continue;
    const std::size_t value = line.find_first_not_of(" \t", key.size());
    return value == std::string_view::npos ? std::string() : std::string(line.substr(value));
  }
  return {};
}

Check container(const DoctorContext& context) {
  Check check{.id = "host.container", .title = "container around us"};
  check.found = "none";
  if (context.surroundings.kind != Surrounding::kNone) {
    check.found = "inside " + std::string(name_of(context.surroundings.kind)) + " (" + context.surroundings.evidence + ")";
  } else if (context.clues.dockerenv) {
    check.found = "none (a file system that was built for Docker, but not inside a container)";
  } else if (!context.clues.initial_pid_namespace) {
    check.found = "not the first pid namespace of the machine, and no known container manager";
  }
  return check;
}

Check inherited_filter(const DoctorContext& context) {
  const std::string status = read_or_empty("/proc/self/status");
  const std::string mode = status_field(status, "Seccomp:");
  Check check{.id = "host.seccomp_inherited", .title = "inherited seccomp filter"};
  if (mode == "2") {
    const std::string count = status_field(status, "Seccomp_filters:");
    check.found =
        "yes" + (count.empty() ? std::string() : " (" + count + ")") + ", of " +
        (context.surroundings.kind == Surrounding::kNone ? "a parent process" : std::string(name_of(context.surroundings.kind)));
  } else {
    check.found = mode == "0" ? "none" : mode.empty() ? "unknown: no Seccomp line in /proc/self/status" : "mode " + mode;
  }
  return check;
}

Check masked_proc(const DoctorContext& context) {
  Check check{.id = "host.masked_proc", .title = "masked parts of /proc"};
  check.found = context.blocks.masked_proc
                    ? "something is mounted below /proc, which can make the kernel refuse a new /proc (see mount.proc)"
                    : "none";
  return check;
}

Check resource_capability(const DoctorContext& context) {
  Check check{.id = "host.cap_sys_resource", .title = "CAP_SYS_RESOURCE"};
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> data{};
  const bool present = syscall(SYS_capget, &header, data.data()) == 0 && (data[0].effective & (1U << CAP_SYS_RESOURCE)) != 0;
  check.found = present ? "held" : "not held";
  if (present || !context.facts.privileged) return check;
  check.status = Check::Status::kDegraded;
  check.lost = "raising limits above the caller's hard limits (--nofile, --nproc) and a lower OOM score";
  check.remedy = loosening(context.surroundings.kind).rlimits;
  return check;
}

Check machine(const DoctorContext& context) {
  utsname name{};
  uname(&name);
  Check check{.id = "host.machine", .title = "machine"};
  const auto pages = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES));
  const auto page_bytes = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  check.found = std::string("Linux ") + name.release + ", " + name.machine + ", " + std::to_string(context.facts.cpu_count) +
                " CPUs for us, " + format_size(pages * page_bytes) + " memory";
  return check;
}

Check caller(const DoctorContext& context) {
  Check check{.id = "host.caller", .title = "caller"};
  check.found = "uid " + std::to_string(context.facts.uid) + ", gid " + std::to_string(context.facts.gid) +
                (context.facts.privileged ? ", root of the machine"
                 : context.facts.uid == 0 ? ", root without the machine's capabilities"
                                          : ", without privileges");
  return check;
}

}  // namespace

void check_surroundings(const DoctorContext& context, Checks& out) {
  out.push_back(machine(context));
  out.push_back(caller(context));
  out.push_back(container(context));
  out.push_back(inherited_filter(context));
  out.push_back(masked_proc(context));
  out.push_back(resource_capability(context));
}

}  // namespace clawrun::host
