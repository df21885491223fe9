#include <linux/landlock.h>

#include "base/text.h"
#include "plan/internal.h"
#include "tables/landlock.h"

namespace clawrun::plan {

namespace {

constexpr std::uint64_t kExecute = tables::kLandlockExecute;
constexpr std::uint64_t kWriteFile = tables::kLandlockWriteFile;
constexpr std::uint64_t kReadFile = tables::kLandlockReadFile;
constexpr std::uint64_t kReadDir = tables::kLandlockReadDir;
constexpr std::uint64_t kTruncate = tables::kLandlockTruncate;
constexpr std::uint64_t kIoctlDev = tables::kLandlockIoctlDev;

constexpr std::uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDev;

}  // namespace

Result<> compile_landlock(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs) {
  if (spec.landlock == spec::Switch::kOff) return {};
  if (inputs.host.landlock_abi == 0) {
    const std::string lost = "this kernel has no Landlock, or it is not among the active LSMs";
    if (!spec.allow_exec.empty())
      return fail(ErrorKind::kUnsupported, "--allow-exec: " + lost + ", and nothing else tells programs apart");
    if (spec.landlock == spec::Switch::kOn)
      return degrade(plan, spec, "--landlock on: " + lost, "boot with lsm=landlock,... (Linux 5.13 or later)");
    plan.degradations.push_back(lost + ": the second wall around files is missing");
    return {};
  }
  const tables::LandlockAbi& row = tables::landlock_abi(inputs.host.landlock_abi);
  Landlock& landlock = plan.landlock;
  landlock.enabled = true;
  landlock.handled_fs = row.fs;
  landlock.scoped = row.scoped;
  landlock.attr_size = row.attr_size;
  // `none` grants the loopback of an own network namespace, `allow` what the gateway decides on, and the others everything;
  // ports cannot tell these apart. A profile
  // without Internet sockets is held to it here as well.
  if (spec.seccomp == "strict" && spec.network == spec::Network::kNone) landlock.handled_net = row.net;

  const std::uint64_t execute = spec.allow_exec.empty() ? kExecute : 0;
  const std::uint64_t read = kReadFile | kReadDir | execute;
  const std::uint64_t all = row.fs & ~(execute == 0 ? kExecute : 0ULL);
  const auto add = [&](std::string path, std::uint64_t access) {
    landlock.rules.push_back({std::move(path), -1, access & row.fs});
  };
  add("/", spec.writable ? all : read);
  add("/proc", read | kWriteFile | kTruncate);
  add("/dev", read | kWriteFile | kTruncate | kIoctlDev);
  for (const char* path : {"/dev/shm", "/tmp"}) add(path, all);
  const auto bind = [&](const spec::Bind& one, const SourceFacts& facts) {
    const std::uint64_t access = one.read_only ? read : all;
    add(one.target, facts.is_directory ? access : access & kOfFiles);
  };
  if (spec.workspace)
    bind(*spec.workspace, *inputs.workspace);
  else
    add(spec::kWorkspace, all);
  for (std::size_t i = 0; i < spec.binds.size(); ++i) bind(spec.binds[i], inputs.binds[i]);
  for (const spec::Tmpfs& tmpfs : spec.tmpfs) add(tmpfs.target, all);
  for (const std::string& path : spec.allow_exec) add(path, kExecute);
  if (!spec.allow_exec.empty()) landlock.command_access = kExecute | kReadFile;
  // Files of the caller that are stdio, so that /dev/stderr can be opened again: only the way it was passed.
  for (int fd = 0; fd < 3; ++fd)
    if (plan.streams[fd] == Stream::kInherit) landlock.rules.push_back({"", fd, row.fs & (kReadFile | kWriteFile | kTruncate)});
  return {};
}

}  // namespace clawrun::plan
