#include "launch/steps.h"

#include <linux/mount.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"
#include "host/explain.h"
#include "tables/capabilities.h"

namespace clawrun::launch {

namespace {

using child::Op;
using child::Step;

std::string words_of(const plan::Operation& op) {
  const std::string target = shown("/" + op.target);
  switch (op.op) {
    case Op::kFilesystem:
      return "mounting " + op.source + " at " + target;
    case Op::kBind:
      return "binding " + quoted(op.source) + " at " + target;
    case Op::kEnter:
      return "entering " + target;
    case Op::kDevice:
      return "giving the device " + op.source;
    case Op::kDirectory:
      return "making the directory " + target;
    case Op::kFile:
      return "making the file " + target;
    case Op::kSymlink:
      return "making the link " + target;
    case Op::kMask:
      return "hiding " + target;
    case Op::kSelfBind:
      return "protecting " + target;
    case Op::kAttributes:
      return "making " + target + " read-only";
    case Op::kCover:
      return "putting a file over " + target;
    case Op::kHostname:
      return "setting the hostname";
  }
  return "building the root";
}

struct StepRow {
  Step step;
  const char* words;
};

constexpr StepRow kSteps[] = {
    {Step::kParentDeath, "asking for the parent-death signal"},
    {Step::kGate, "waiting for the supervisor"},
    {Step::kJoinCgroup, "joining its cgroup"},
    {Step::kCgroupNamespace, "making the cgroup namespace"},
    {Step::kCoreScheduling, "asking for core scheduling (--core-sched)"},
    {Step::kSession, "starting a session"},
    {Step::kStdio, "placing the standard streams"},
    {Step::kIdentity, "becoming the sandbox's user"},
    {Step::kCloseFds, "closing descriptors"},
    {Step::kNetwork, "making the network namespace"},
    {Step::kPivotRoot, "changing to the new root"},
    {Step::kDetachOldRoot, "letting go of the host's root"},
    {Step::kKeyring, "joining a session keyring of its own"},
    {Step::kTerminal, "opening the sandbox's terminal"},
    {Step::kStartCommand, "starting the command's process"},
    {Step::kExecInit, "executing init"},
    {Step::kTimeNamespace, "making a time namespace"},
    {Step::kNoNewPrivs, "setting no_new_privs"},
    {Step::kLandlock, "entering the Landlock domain"},
    {Step::kSeccomp, "loading the seccomp filter"},
    {Step::kParked, "waiting for a claim"},
    {Step::kClaim, "taking what the claim brings"},
    {Step::kWorkspace, "mounting the workspace of the claim"},
};

std::string words_of_requests(const plan::Plan& plan, std::uint32_t index) {
  constexpr const char* kWords[] = {"bringing up the loopback interface", "giving the network namespace its addresses",
                                    "loading the nftables rules that steer connections to the gateway",
                                    "listening for what nftables refuses"};
  if (!plan.new_network || index >= plan.new_network->requests.size()) return "configuring the network namespace";
  return kWords[static_cast<std::size_t>(plan.new_network->requests[index].what)];
}

std::string words_of(const plan::Plan& plan, const child::Report& report) {
  switch (report.step) {
    case Step::kOperation:
      return report.index < plan.operations.size() ? words_of(plan.operations[report.index]) : "building the root";
    case Step::kRlimit:
      return "setting resource limit " +
             std::to_string(report.index < plan.rlimits.size() ? plan.rlimits[report.index].resource : -1);
    case Step::kNetworkRequests:
      return words_of_requests(plan, report.index);
    case Step::kGatewaySocket:
      return "opening a socket for the gateway (--network allow)";
    case Step::kWorkdir:
      return "entering the working directory " + quoted(plan.workdir);
    case Step::kCapabilities:
      return report.index < tables::kCapabilities.size()
                 ? "setting the capability " + std::string(tables::kCapabilities[report.index])
                 : "dropping capabilities";
    default:
      for (const StepRow& row : kSteps)
        if (row.step == report.step) return row.words;
      return "starting";
  }
}

// What a person needs to know beyond the words of errno; "" where these say it all.
std::string hint_for(const plan::Plan& plan, const child::Report& report) {
  const int error = report.errno_value;
  if (report.step == Step::kOperation && report.index < plan.operations.size()) {
    const plan::Operation& op = plan.operations[report.index];
    if (op.op == Op::kFilesystem && (error == EPERM || error == ENODEV || error == EINVAL))
      return host::explain_mount_failure(op.source, error);
    if (op.op == Op::kBind && error == ENOENT)
      return "the source, or the mount point in the sandbox, does not exist (a mount point below another bind, or below a "
             "read-only directory of the host, is not made for you)";
    if (op.op == Op::kBind && error == ENOTDIR) return "one of source and mount point is a directory and the other is not";
    if (error == EXDEV && op.op == Op::kFile) return "it would lie in a directory of the caller, which only the caller writes to";
    if (error == EEXIST && op.op == Op::kFile) return "it is there already";
    if (error == ENOSPC && op.op == Op::kFile) return "the sandbox's file system is full: --tmp-size makes it larger";
    if (error == ELOOP) return "a symbolic link stands where the root must have a directory of its own";
    if (error == ENODEV && op.op == Op::kDevice) return "the host's " + op.source + " is not that device";
    if (error == EROFS || error == ENOENT) return "this mount point does not exist, and is not made in a directory of the caller";
  }
  if (report.step == Step::kNetworkRequests && plan.gateway && error != EPERM)
    return "--network allow needs nf_tables with tproxy, reject and nfnetlink_log in the kernel: clawrun doctor says more";
  if (report.step == Step::kWorkdir && error == ENOENT) return "it does not exist in the sandbox";
  if (report.step == Step::kKeyring && error == EDQUOT) return "this user has no key left: raise the sysctl kernel.keys.maxkeys";
  if (report.step == Step::kStartCommand && error == EAGAIN)
    return "a limit on processes is reached (ulimit -u, or the pids limit of a cgroup)";
  if (report.step == Step::kExecInit && error == EACCES) return "executable memfds are refused: is the sysctl vm.memfd_noexec 2?";
  if (report.step == Step::kSeccomp && error == EINVAL) return "the kernel does not accept this filter";
  return {};
}

Error not_found(const plan::Plan& plan, const child::Report& report) {
  const std::string command = quoted(plan.argv[0]);
  if (report.errno_value == EACCES)
    return {ErrorKind::kNotExecutable, EACCES,
            command + ": found in the sandbox, but it cannot be executed: not a regular file, or without permission"};
  std::string message = command + ": not found in the sandbox";
  message += plan.argv[0].find('/') == std::string::npos ? " (looked in its PATH; the root is " : " (the root is ";
  message += quoted(plan.rootfs) + "; files of the host are there only where --workspace or --bind puts them)";
  return {ErrorKind::kNotFound, ENOENT, std::move(message)};
}

Error not_executed(const plan::Plan& plan, const child::Report& report) {
  const std::string path = quoted(report.index < plan.candidates.size() ? plan.candidates[report.index] : plan.argv[0]);
  std::string hint = strerrordesc_np(report.errno_value);
  if (report.errno_value == ENOENT)
    hint =
        "the interpreter that its first line names, or the dynamic loader that it was linked for, does not exist in the sandbox";
  else if (report.errno_value == ENOEXEC)
    hint = "neither an executable of this machine's kind nor a script with a #! line";
  else if (report.errno_value == EACCES)
    hint = plan.landlock.command_access != 0
               ? "permission denied: with --allow-exec its loader or interpreter must be named too"
               : "permission denied: it lies on a mount without exec, or Landlock does not allow it";
  else if (report.errno_value == EPERM || report.errno_value == ENOSYS)
    hint += std::string(" (the seccomp profile ") + quoted(plan.seccomp_name) + " may refuse execve)";
  else if (report.errno_value == E2BIG)
    hint += ": arguments and environment together are larger than a quarter of the stack limit";
  return {ErrorKind::kNotExecutable, report.errno_value, path + ": cannot be executed: " + hint};
}

}  // namespace

Error describe(const plan::Plan& plan, const child::Report& report) {
  if (report.step == Step::kCommandFound) return not_found(plan, report);
  if (report.step == Step::kExec) return not_executed(plan, report);
  Error error = fail_errno(words_of(plan, report), report.errno_value).error();
  if (const std::string hint = hint_for(plan, report); !hint.empty()) error.message += "; " + hint;
  return error;
}

}  // namespace clawrun::launch
