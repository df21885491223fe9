#include "cgroup/systemd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "base/text.h"
#include "cgroup/place.h"
#include "cgroup/systemd_answer.h"
#include "cgroup/systemd_helper.h"
#include "cgroup/systemd_properties.h"
#include "cgroup/systemd_protocol.h"
#include "cgroup/unit_name.h"

namespace clawrun::cgroup {

namespace {

namespace protocol = systemd_protocol;

// Beyond the deadline: what the helper has for taking back a scope, and for ending.
constexpr std::chrono::milliseconds kGrace{2000};

// $XDG_RUNTIME_DIR is believed only where the directory is the caller's own, which it is not under `sudo -E`; inside a user
// namespace it is how the outer user's directory is found.
std::string runtime_directory(uid_t uid) {
  const char* given = ::secure_getenv("XDG_RUNTIME_DIR");
  struct stat directory {};
  if (uid == ::geteuid() && given != nullptr && given[0] == '/' && ::stat(given, &directory) == 0 && S_ISDIR(directory.st_mode) &&
      directory.st_uid == uid)
    return given;
  return "/run/user/" + std::to_string(uid);
}

// The message bus comes first, being the documented way; systemd listens itself where no bus is installed or running.
Result<std::string> sockets(Manager manager) {
  const std::string runtime = manager == Manager::kUser ? runtime_directory(::geteuid()) : "";
  if (runtime.find('\n') != std::string::npos || runtime.size() > 80)
    return fail(ErrorKind::kInvalid,
                "XDG_RUNTIME_DIR " + quoted(runtime.substr(0, 100)) + " is no directory that sockets can be in");
  if (manager == Manager::kUser) return "bus " + runtime + "/bus\npeer " + runtime + "/systemd/private\n";
  return std::string("bus /run/dbus/system_bus_socket\npeer /run/systemd/private\n");
}

struct Request {
  UnitCall call;
  std::vector<UnitProperty> properties;
};

Result<std::string> text_of(const Request& request) {
  std::string text = std::string(protocol::kGreeting) + "\ndeadline " + std::to_string(request.call.deadline.count()) + "\n";
  text += TRY(sockets(request.call.manager));
  text += request.call.verb + " " + request.call.unit + "\n";
  for (const UnitProperty& property : request.properties) {
    text += "property " + property.name + " " + property.value.signature + "\n";
    for (const std::string& step : property.value.steps) text += step + "\n";
  }
  return text;
}

Result<std::string> ask(const Request& request) {
  if (request.call.deadline < std::chrono::milliseconds(1) || request.call.deadline > std::chrono::hours(24))
    return fail(ErrorKind::kInvalid, "a deadline for systemd must be between 1 ms and a day");
  TRY(check_scope_name(request.call.unit));
  const std::string text = TRY(text_of(request));
  const HelperProgram program = TRY(find_systemd_helper());
  const std::string answer = TRY(ask_helper(program, text, request.call.deadline + kGrace));
  return read_answer(request.call, answer);
}

// What an annotation may not override: where the scope is, who is in it, and that it is ours to divide.
constexpr std::string_view kReserved[] = {"Slice", "PIDs", "Delegate", "DelegateControllers", "DelegateSubgroup"};

Result<std::vector<UnitProperty>> extra_properties(const ScopeRequest& request) {
  std::vector<UnitProperty> properties;
  for (const auto& [name, text] : request.properties) {
    if (std::ranges::find(kReserved, name) != std::end(kReserved))
      return fail(ErrorKind::kInvalid,
                  "systemd property " + name + " is set by clawrun itself; Slice comes from the cgroups path");
    UnitProperty property = TRY(parse_unit_property(name, text));
    properties.push_back(std::move(property));
  }
  return properties;
}

// Arguments of commands are in descriptions, and D-Bus takes only UTF-8.
std::string description_of(const ScopeRequest& request, const std::string& unit) {
  std::string text = request.description.empty() ? "clawrun sandbox " + unit : request.description.substr(0, 200);
  std::ranges::replace_if(
      text, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return text;
}

// In this order, because the last of a name counts: what annotations may change, annotations, what is ours, limits.
Result<std::vector<UnitProperty>> scope_properties(const ScopeRequest& request, const ScopeName& name,
                                                   const SystemdProperties& limits) {
  std::vector<UnitProperty> all{
      {"Description", unit_text(description_of(request, name.unit))},
      // A scope that failed would otherwise keep its name until somebody resets it.
      {"CollectMode", unit_text("inactive-or-failed")},
      // A sandbox ends with its supervisor; it is not to be stopped before that at shutdown.
      {"DefaultDependencies", unit_bool(false)},
      {"MemoryAccounting", unit_bool(true)},
      {"CPUAccounting", unit_bool(true)},
      {"TasksAccounting", unit_bool(true)},
      {"IOAccounting", unit_bool(true)},
  };
  std::vector<UnitProperty> extra = TRY(extra_properties(request));
  std::ranges::move(extra, std::back_inserter(all));
  const UnitValue pids[] = {unit_number('u', static_cast<std::uint64_t>(request.pid))};
  all.push_back({"Slice", unit_text(name.slice)});
  all.push_back({"Delegate", unit_bool(true)});
  all.push_back({"PIDs", unit_array("u", pids)});
  all.insert(all.end(), limits.properties.begin(), limits.properties.end());
  return all;
}

// The answer decides where a privileged caller writes next.
Result<> check_control_group(std::string_view path, std::string_view unit) {
  bool plain = path.starts_with('/') && path.ends_with("/" + std::string(unit)) && path.size() < 4096;
  for (const std::string_view part : split(path.substr(std::min<std::size_t>(1, path.size())), '/'))
    plain = plain && !part.empty() && part != "." && part != ".." && part.find('\0') == std::string_view::npos;
  if (plain) return {};
  return fail(ErrorKind::kSystem, "systemd started " + std::string(unit) + " but says that its cgroup is " + quoted(path));
}

Result<std::string> directory_of(const View& view, const std::string& control_group) {
  std::string directory = view.v2.mount_point + control_group;
  if (!view.v2.mount_point.empty() && ::faccessat(AT_FDCWD, directory.c_str(), F_OK, AT_EACCESS) == 0) return directory;
  return fail(ErrorKind::kUnsupported, "systemd made the cgroup " + control_group + ", but there is no " + shown(directory) +
                                           ": this process sees another part of the hierarchy, as in a container; "
                                           "use --cgroup-driver cgroupfs");
}

Result<ScopeName> name_of(const ScopeRequest& request) {
  const Manager manager = request.user_manager ? Manager::kUser : Manager::kSystem;
  if (!request.path.empty()) return parse_cgroups_path(request.path, manager);
  return ScopeName{default_slice(manager), request.unit};
}

Manager manager_of(bool user_manager) {
  return user_manager ? Manager::kUser : Manager::kSystem;
}

bool connects(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

bool systemd_is_running() {
  struct stat directory {};
  return ::lstat("/run/systemd/system", &directory) == 0 && S_ISDIR(directory.st_mode);
}

bool user_manager_reachable(uid_t uid) {
  const std::string runtime = runtime_directory(uid);
  return connects(runtime + "/systemd/private") || connects(runtime + "/bus");
}

Result<Scope> start_scope(const ScopeRequest& request) {
  if (request.pid <= 0) return fail(ErrorKind::kInternal, "a scope begins with a process, and none was given");
  const ScopeName name = TRY(name_of(request));
  SystemdProperties limits = TRY(systemd_properties(request.limits));
  Request message{{"start", name.unit, manager_of(request.user_manager), request.deadline}, {}};
  message.properties = TRY(scope_properties(request, name, limits));
  const View view = TRY(current_view());
  std::string control_group = TRY(ask(message));
  Scope scope{name.unit, name.slice, std::move(control_group), {}, std::move(limits.direct)};
  TRY(check_control_group(scope.control_group, scope.unit));
  auto directory = directory_of(view, scope.control_group);
  if (!directory) {
    (void)stop_scope(scope.unit, request.user_manager, request.deadline);
    return std::unexpected(std::move(directory).error());
  }
  scope.directory = std::move(*directory);
  return scope;
}

Result<Limits> set_properties(const std::string& unit, bool user_manager, const Limits& limits,
                              std::chrono::milliseconds deadline) {
  SystemdProperties properties = TRY(systemd_properties(limits));
  // A call that sets nothing would only wait.
  if (!properties.properties.empty())
    TRY(ask({{"set", unit, manager_of(user_manager), deadline}, std::move(properties.properties)}));
  return std::move(properties.direct);
}

Result<> stop_scope(const std::string& unit, bool user_manager, std::chrono::milliseconds deadline) {
  TRY(ask({{"stop", unit, manager_of(user_manager), deadline}, {}}));
  return {};
}

}  // namespace clawrun::cgroup
