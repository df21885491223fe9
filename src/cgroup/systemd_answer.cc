#include "cgroup/systemd_answer.h"

#include <algorithm>

#include "base/text.h"
#include "cgroup/systemd_helper.h"
#include "cgroup/systemd_protocol.h"

namespace clawrun::cgroup {

namespace {

namespace protocol = systemd_protocol;

constexpr std::string_view kRemedy = "; --cgroup-driver cgroupfs does without systemd";

struct Failed {
  std::string_view awaited;
  std::string_view code;
  std::string_view detail;
};

// Sentences of systemd's are plain text; anything else is no sentence of its.
std::string said(std::string_view text) {
  const bool plain = std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
  return plain ? std::string(text.substr(0, 500)) : quoted(text.substr(0, 500));
}

std::string manager_name(const UnitCall& call) {
  return call.manager == Manager::kUser ? "systemd --user" : "systemd";
}

std::string doing(const UnitCall& call) {
  if (call.verb == "start") return "starting " + call.unit;
  return (call.verb == "set" ? "changing " : "stopping ") + call.unit;
}

struct KnownError {
  std::string_view code;
  ErrorKind kind;
  std::string_view reason;
};
constexpr KnownError kKnownErrors[] = {
    {"org.freedesktop.systemd1.UnitExists", ErrorKind::kInvalid,
     "systemd has a unit of this name already, so another sandbox may be using it; choose another name, or end that unit with "
     "systemctl stop"},
    {"org.freedesktop.systemd1.NoSuchUnit", ErrorKind::kInvalid, "systemd has no such unit: the sandbox has ended"},
    {"org.freedesktop.DBus.Error.AccessDenied", ErrorKind::kDenied,
     "systemd does not let this user do it; be root, or use the user's own manager"},
    {"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", ErrorKind::kDenied,
     "systemd does not let this user do it; be root, or use the user's own manager"},
    {"org.freedesktop.DBus.Error.PropertyReadOnly", ErrorKind::kUnsupported,
     "this version of systemd does not know one of the properties, or does not let it be changed"},
    {"org.freedesktop.DBus.Error.ServiceUnknown", ErrorKind::kUnsupported, "systemd is not on this bus"},
    // A bus that could start it if it were systemd that started things: its service file runs /bin/false.
    {"org.freedesktop.DBus.Error.Spawn.ChildExited", ErrorKind::kUnsupported, "systemd is not on this bus"},
    {"org.freedesktop.DBus.Error.NameHasNoOwner", ErrorKind::kUnsupported, "systemd is not on this bus"},
    {"org.freedesktop.DBus.Error.UnixProcessIdUnknown", ErrorKind::kSystem, "its first process has ended already"},
    {"org.freedesktop.DBus.Error.InvalidArgs", ErrorKind::kInvalid, "systemd does not take a value"},
};

Failure connecting_failed(const UnitCall& call, const Failed& failed) {
  const bool user = call.manager == Manager::kUser;
  if (failed.code == protocol::kMissing)
    return fail(ErrorKind::kUnsupported,
                (user ? "no user's systemd can be reached (" : "neither a system bus nor systemd can be reached (") +
                    said(failed.detail) + ")" +
                    (user ? ": log in as this user, or have root run loginctl enable-linger for it" : "") + std::string(kRemedy));
  const std::string where = said(failed.detail);
  if (failed.code == protocol::kDeadline)
    return fail(ErrorKind::kSystem, where + " did not let clawrun in within " + time_in_words(call.deadline) +
                                        ": what listens there is stopped or busy" + std::string(kRemedy));
  return fail(ErrorKind::kDenied,
              where + " took a connection and closed it again: it does not let this user in" + std::string(kRemedy));
}

Failure job_failed(const UnitCall& call, const Failed& failed) {
  if (failed.code == protocol::kDeadline)
    return fail(ErrorKind::kSystem, manager_name(call) + " took on " + doing(call) + ", but did not finish within " +
                                        time_in_words(call.deadline) + std::string(kRemedy));
  if (failed.code == protocol::kClosed)
    return fail(ErrorKind::kSystem, doing(call) + ": " + manager_name(call) + " closed the connection before it finished");
  return fail(ErrorKind::kSystem, doing(call) + ": the job of " + manager_name(call) + " ended as " + quoted(failed.code) +
                                      "; the log of the unit says why: journalctl " +
                                      (call.manager == Manager::kUser ? "--user " : "") + "-u " + call.unit);
}

Failure call_failed(const UnitCall& call, const Failed& failed) {
  if (failed.code == protocol::kDeadline)
    return fail(ErrorKind::kSystem, manager_name(call) + " did not answer " + said(failed.awaited) + " for " + call.unit +
                                        " within " + time_in_words(call.deadline) + std::string(kRemedy));
  if (failed.code == protocol::kClosed)
    return fail(ErrorKind::kSystem,
                doing(call) + ": the connection was closed before " + manager_name(call) + " answered " + said(failed.awaited));
  const auto* known = std::ranges::find(kKnownErrors, failed.code, &KnownError::code);
  if (known == std::end(kKnownErrors))
    return fail(ErrorKind::kSystem, doing(call) + ": " + manager_name(call) + " refuses " + said(failed.awaited) + ": " +
                                        said(failed.detail) + " (" + said(failed.code) + ")");
  return fail(known->kind, doing(call) + ": " + std::string(known->reason) + " (" + said(failed.detail) + ")");
}

}  // namespace

Result<std::string> read_answer(const UnitCall& call, std::string_view answer) {
  if (answer.starts_with("ok ")) return std::string(answer.substr(3));
  auto parts = split(answer, '\t');
  if (parts.size() < 4 || parts[0] != "error")
    return fail(ErrorKind::kInternal, doing(call) + ": the helper for systemd answered " + quoted(answer.substr(0, 200)));
  const std::string_view detail(parts[3].data(), static_cast<std::size_t>(answer.data() + answer.size() - parts[3].data()));
  const Failed failed{parts[1], parts[2], detail};
  if (failed.awaited == protocol::kReading)
    return fail(ErrorKind::kInternal, "the helper for systemd does not understand this clawrun: " + said(detail) +
                                          "; install both from the same version");
  if (failed.awaited == protocol::kConnecting) return connecting_failed(call, failed);
  if (failed.awaited == protocol::kJob) return job_failed(call, failed);
  return call_failed(call, failed);
}

}  // namespace clawrun::cgroup
