#include "engine/containers_manage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/text.h"
#include "cgroup/location.h"
#include "cgroup/place.h"
#include "state/container_process.h"
#include "sys/sys.h"

namespace clawrun::engine {

namespace {

using state::Container;
using state::ContainerRecord;
using state::ContainerStatus;

class Place {
 public:
  Place() {
    char name[] = "/tmp/clawrun-manage-XXXXXX";
    base_ = ::mkdtemp(name);
    runtime.root = base_ + "/root";
    REQUIRE(::mkdir(at("bundle").c_str(), 0700) == 0);
  }
  ~Place() {
    const std::string command = "rm -rf '" + base_ + "'";
    CHECK(::system(command.c_str()) == 0);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  [[nodiscard]] std::string at(std::string_view name) const { return base_ + "/" + std::string(name); }
  [[nodiscard]] bool has(std::string_view name) const {
    struct stat status {};
    return ::lstat(at(name).c_str(), &status) == 0;
  }
  [[nodiscard]] std::string text(std::string_view name) const { return sys::read_file(at(name), 1 << 20U).value_or("<none>"); }

  [[nodiscard]] ContainerRecord record(const std::string& id, const state::Process& init = {}) const {
    ContainerRecord record;
    record.id = id;
    record.oci_version = "1.0.2";
    record.bundle = at("bundle");
    record.init = init;
    return record;
  }
  void make(const ContainerRecord& record, const std::string& config = "") const {
    auto container = Container::create(runtime.root, record.id);
    REQUIRE_MESSAGE(container, (container ? "" : container.error().message));
    REQUIRE(container->write(record));
    if (!config.empty()) REQUIRE(container->write_config(config));
  }
  [[nodiscard]] Container opened(const std::string& id) const {
    return std::move(*Container::open(runtime.root, id, Container::Lock::kExclusive));
  }

  Runtime runtime;

 private:
  std::string base_;
};

// A child that SIGTERM ends too.
class Sleeper {
 public:
  Sleeper() : pid_(fork()) {
    if (pid_ == 0) sleep();
  }
  // With so many children of its own, which it has when SIGCONT has let it go on.
  explicit Sleeper(int forks) : pid_(fork()) {
    if (pid_ != 0) {
      ::waitpid(pid_, nullptr, WUNTRACED);
      return;
    }
    ::raise(SIGSTOP);
    while (forks-- > 0)
      if (::fork() == 0) sleep();
    sleep();
  }
  ~Sleeper() { (void)end_status(SIGKILL); }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  [[nodiscard]] state::Process process() const { return state::identify(pid_).value(); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // The signal that ended it, after `signal` where that is not 0.
  int end_status(int signal) {
    if (pid_ <= 0) return 0;
    if (signal != 0) ::kill(pid_, signal);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }

 private:
  // Without the handler of the tests.
  static pid_t fork() {
    const auto handler = ::signal(SIGTERM, SIG_DFL);
    const pid_t child = ::fork();
    if (child != 0) ::signal(SIGTERM, handler);
    return child;
  }
  [[noreturn]] static void sleep() {
    for (;;) ::pause();
  }
  pid_t pid_;
};

template <typename Value>
std::string message(const Result<Value>& result) {
  return result ? "" : result.error().message;
}

std::string status_in(const Place& place, const std::string& id) {
  const auto state = container_state(place.runtime, id);
  return state ? std::string(state::status_name(state->status)) + " " + (state->record.init.pid == 0 ? "0" : "pid")
               : state.error().message;
}

std::string config_with_poststop(const std::string& hooks) {
  return R"({"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"cwd":"/","args":["x"],"user":{"uid":0,"gid":0}},)"
         R"("hooks":{"poststop":[)" +
         hooks + "]}}";
}

}  // namespace

TEST_CASE("what is not there is said in runc's words, and may be deleted by force") {
  const Place place;
  for (const std::string id : {"none", "x"}) {
    CHECK(message(container_state(place.runtime, id)) == "container does not exist");
    CHECK(message(kill(place.runtime, id, SIGKILL, {})) == "container does not exist");
    CHECK(message(remove(place.runtime, id, {})) == "container does not exist");
    CHECK(message(remove(place.runtime, id, {.force = true})) == "");
    CHECK(message(pause(place.runtime, id)) == "container does not exist");
    CHECK(message(processes(place.runtime, id)) == "container does not exist");
    CHECK(message(update(place.runtime, id, {})) == "container does not exist");
    CHECK(message(events(place.runtime, id, {}, nullptr)) == "container does not exist");
    CHECK(containers(place.runtime)->empty());
    place.make(place.record("other"));
    CHECK(remove(place.runtime, "other", {}));
  }
  CHECK(message(remove(place.runtime, "a/b", {.force = true})) == "invalid container ID format");
}

TEST_CASE("a container without a cgroup is signalled, refused while it runs, and deleted") {
  const Place place;
  Sleeper init;
  place.make(place.record("c", init.process()));
  CHECK(status_in(place, "c") == "running pid");
  CHECK(message(remove(place.runtime, "c", {})) == "cannot delete container c that is not stopped: running");
  CHECK(message(kill(place.runtime, "c", 0, {})) == "");
  CHECK(message(resume(place.runtime, "c")) == "container not paused");
  CHECK(message(pause(place.runtime, "c")) == "container c has no cgroup: it cannot be paused");
  CHECK(message(processes(place.runtime, "c")).starts_with("container c has no cgroup"));
  CHECK(message(update(place.runtime, "c", {})).starts_with("container c has no cgroup"));
  CHECK(message(kill(place.runtime, "c", SIGTERM, {})) == "");
  CHECK(state::wait_for_end(place.opened("c").read()->init, std::chrono::seconds(2)));
  CHECK(init.end_status(0) == SIGTERM);
  CHECK(status_in(place, "c") == "stopped 0");
  CHECK(containers(place.runtime)->at(0).record.init.pid == 0);
  CHECK(message(kill(place.runtime, "c", SIGKILL, {})) == "container not running");
  CHECK(message(kill(place.runtime, "c", SIGKILL, {.all = true})) == "");
  CHECK(message(pause(place.runtime, "c")) == "container not running");
  CHECK(message(update(place.runtime, "c", {})) == "container not running");
  CHECK(message(events(place.runtime, "c", {}, nullptr)) == "container with id c is not running");
  CHECK(processes(place.runtime, "c")->empty());
  CHECK(message(remove(place.runtime, "c", {})) == "");
  CHECK_FALSE(place.has("root/c"));
}

TEST_CASE("by force what runs is killed and waited for, and a created container goes without") {
  const Place place;
  Sleeper running;
  place.make(place.record("r", running.process()));
  CHECK(message(remove(place.runtime, "r", {.force = true})) == "");
  CHECK(running.end_status(0) == SIGKILL);
  CHECK_FALSE(place.has("root/r"));
  Sleeper created;
  place.make(place.record("c", created.process()));
  REQUIRE(place.opened("c").make_gate());
  const UniqueFd waiting(::open((place.runtime.root + "/c/gate").c_str(), O_RDWR | O_CLOEXEC));
  CHECK(status_in(place, "c") == "created pid");
  CHECK(message(remove(place.runtime, "c", {})) == "");
  CHECK(created.end_status(0) == SIGKILL);
  CHECK_FALSE(place.has("root/c"));
  // Another's process has the pid now.
  Sleeper stranger;
  ContainerRecord record = place.record("s", stranger.process());
  record.init.start_ticks += 1;
  place.make(record);
  CHECK(message(kill(place.runtime, "s", SIGKILL, {})) == "container not running");
  CHECK(message(remove(place.runtime, "s", {.force = true})) == "");
  CHECK(::kill(stranger.pid(), 0) == 0);
  CHECK(state::is_alive(stranger.process()));
}

TEST_CASE("what a killed create has left is deleted, and what it still makes is not without force") {
  const Place place;
  REQUIRE(Container::create(place.runtime.root, "empty"));
  CHECK(status_in(place, "empty") == "stopped 0");
  CHECK(message(remove(place.runtime, "empty", {})) == "");
  Sleeper maker;
  Sleeper init;
  ContainerRecord record = place.record("c", init.process());
  record.maker = maker.process();
  place.make(record);
  CHECK(status_in(place, "c") == "creating pid");
  CHECK(message(remove(place.runtime, "c", {})) == "cannot delete container c that is not stopped: creating");
  CHECK(message(kill(place.runtime, "c", SIGTERM, {})) == "container not running");
  CHECK(maker.end_status(SIGKILL) == SIGKILL);
  CHECK(status_in(place, "c") == "stopped 0");
  // Its process may be alive still.
  CHECK(message(remove(place.runtime, "c", {})) == "");
  CHECK(init.end_status(0) == SIGKILL);
  // A runtime that waits for the process with the container locked.
  Sleeper waited_for;
  place.make(place.record("w", waited_for.process()));
  std::thread other([&] {
    const Container held = place.opened("w");
    (void)waited_for.end_status(0);
  });
  ::usleep(20'000);
  CHECK(message(remove(place.runtime, "w", {.force = true})) == "");
  other.join();
  CHECK_FALSE(place.has("root/w"));
}

TEST_CASE("containers of other runtimes stay, with force too") {
  const Place place;
  place.make(place.record("ours"));
  REQUIRE(::mkdir(place.at("root/runc").c_str(), 0700) == 0);
  const UniqueFd file(::open(place.at("root/runc/state.json").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(::write(file.get(), "{\"id\":\"runc\"}", 13) == 13);
  CHECK(message(container_state(place.runtime, "runc")).ends_with("another runtime wrote it"));
  CHECK(message(remove(place.runtime, "runc", {.force = true})).ends_with("another runtime wrote it"));
  CHECK(message(kill(place.runtime, "runc", SIGKILL, {})).ends_with("another runtime wrote it"));
  CHECK(place.has("root/runc/state.json"));
  CHECK(containers(place.runtime)->size() == 1);
  CHECK(message(remove(place.runtime, ".*", {.force = true, .regex = true})) == "");
  CHECK(place.has("root/runc/state.json"));
  CHECK_FALSE(place.has("root/ours"));
}

TEST_CASE("a regular expression means every container that it matches anywhere") {
  const Place place;
  Sleeper one;
  Sleeper two;
  place.make(place.record("web-1", one.process()));
  place.make(place.record("web-2", two.process()));
  place.make(place.record("db"));
  CHECK(matching_containers(place.runtime, "^web")->size() == 2);
  CHECK(matching_containers(place.runtime, "[0-9]$|b$")->size() == 3);
  CHECK(matching_containers(place.runtime, "nothing")->empty());
  CHECK(message(kill(place.runtime, "web-(", SIGTERM, {.regex = true})).starts_with("the regular expression \"web-(\": "));
  CHECK(message(kill(place.runtime, "none", SIGTERM, {.regex = true})) == "");
  CHECK(message(kill(place.runtime, "web", SIGTERM, {.regex = true})) == "");
  CHECK(one.end_status(0) == SIGTERM);
  CHECK(two.end_status(0) == SIGTERM);
  CHECK(message(kill(place.runtime, "b", SIGTERM, {.regex = true})) == "container db: container not running");
  CHECK(message(remove(place.runtime, "1|d", {.regex = true})) == "");
  CHECK(containers(place.runtime)->size() == 1);
}

TEST_CASE("poststop hooks run after the container is gone, and their failures are warnings") {
  const Place place;
  const std::string root = place.at("root");
  const auto shell = [](const std::string& lines) {
    return R"({"path":"/bin/sh","args":["sh","-c",")" + lines + R"("],"env":["PATH=/usr/bin:/bin"]})";
  };
  place.make(place.record("c"), config_with_poststop(shell("cat > state; pwd > pwd; ls " + root + " > left; exit 1") + "," +
                                                     shell("echo second > second")));
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& text) { warnings.push_back(text); };
  CHECK(message(remove(place.runtime, "c", {.warn = warn})) == "");
  CAPTURE(join(warnings, "; "));
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] == "error running poststop hook #0: exit status 1, stdout: , stderr: ");
  CHECK(place.text("bundle/state") == R"({"ociVersion":"1.0.2","id":"c","status":"stopped","pid":0,"bundle":")" +
                                          place.at("bundle") + R"(","annotations":{}})");
  CHECK(place.text("bundle/pwd") == place.at("bundle") + "\n");
  CHECK(place.text("bundle/left") == "");
  CHECK(place.text("bundle/second") == "second\n");
  // The bundle has gone before, and nobody listens.
  ContainerRecord record = place.record("d");
  record.bundle = place.at("gone");
  place.make(record, config_with_poststop(shell("pwd > " + place.at("where"))));
  CHECK(message(remove(place.runtime, "d", {})) == "");
  CHECK(place.text("where") == "/\n");
  place.make(place.record("e"), "{");
  warnings.clear();
  CHECK(message(remove(place.runtime, "e", {.warn = warn})) == "");
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].starts_with("the poststop hooks were not run: "));
}

namespace {

// Groups of each hierarchy that containers need, with one below them, as a container with systemd in it has.
class Groups {
 public:
  Groups() {
    const auto view = cgroup::current_view();
    REQUIRE(view);
    const std::string name = "/clawrun-unit-" + std::to_string(::getpid());
    if (view->layout == cgroup::Layout::kV2) location.v2.path = view->v2.own_directory + name;
    for (const auto& hierarchy : view->v1)
      for (const char* wanted : {"freezer", "pids"})
        if (std::ranges::find(hierarchy.controllers, wanted) != hierarchy.controllers.end())
          location.v1.push_back({hierarchy.controllers, hierarchy.own_directory + name});
    if (!location.v2.path.empty()) paths_.push_back(location.v2.path);
    for (const auto& directory : location.v1) paths_.push_back(directory.path);
  }
  ~Groups() {
    if (is_there()) CHECK(cgroup::kill(location));
    CHECK(cgroup::remove(location));
  }
  Groups(const Groups&) = delete;
  Groups& operator=(const Groups&) = delete;

  bool make() const {
    const bool made = !paths_.empty() && std::ranges::all_of(paths_, [](const std::string& path) {
      return ::mkdir(path.c_str(), 0755) == 0 && ::mkdir((path + "/below").c_str(), 0755) == 0;
    });
    if (!made) MESSAGE("this user may make no cgroups here");
    return made;
  }
  [[nodiscard]] bool add(pid_t pid) const {
    return std::ranges::all_of(paths_, [&](const std::string& path) {
      return sys::write_proc_file(path + "/below/cgroup.procs", std::to_string(pid)).has_value();
    });
  }
  [[nodiscard]] bool is_there() const {
    return std::ranges::any_of(paths_, [](const std::string& path) { return ::access(path.c_str(), F_OK) == 0; });
  }
  // "" where none of them has such a file.
  [[nodiscard]] std::string text(const std::string& file) const {
    for (const std::string& path : paths_)
      if (auto found = sys::read_file(path + "/" + file, 4096)) return *found;
    return "";
  }

  cgroup::Location location;

 private:
  std::vector<std::string> paths_;
};

}  // namespace

TEST_CASE("the processes of a cgroup are listed, stopped, signalled and killed with it") {
  const Place place;
  const Groups groups;
  Sleeper init(2);
  if (!groups.make() || !groups.add(init.pid())) return;
  ContainerRecord record = place.record("c", init.process());
  record.location = groups.location;
  place.make(record);
  CHECK(*processes(place.runtime, "c") == std::vector<pid_t>{init.pid()});
  ::kill(init.pid(), SIGCONT);
  for (int i = 0; i < 500 && processes(place.runtime, "c")->size() < 3; ++i) ::usleep(1000);
  CHECK(processes(place.runtime, "c")->size() == 3);
  // One that was to be made in the same group, and was not.
  ContainerRecord second = place.record("d");
  second.location = record.location;
  place.make(second);
  CHECK(message(kill(place.runtime, "d", SIGKILL, {.all = true})) == "");
  CHECK(message(remove(place.runtime, "d", {.force = true})) == "");
  CHECK(processes(place.runtime, "c")->size() == 3);
  CHECK(message(pause(place.runtime, "c")) == "");
  CHECK(status_in(place, "c") == "paused pid");
  CHECK(message(pause(place.runtime, "c")) == "container not running");
  CHECK(message(remove(place.runtime, "c", {})) == "cannot delete container c that is not stopped: paused");
  CHECK(message(resume(place.runtime, "c")) == "");
  CHECK(status_in(place, "c") == "running pid");
  CHECK(message(kill(place.runtime, "c", SIGTERM, {.all = true})) == "");
  CHECK(init.end_status(0) == SIGTERM);
  CHECK(status_in(place, "c") == "stopped 0");
  for (int i = 0; i < 500 && !processes(place.runtime, "c")->empty(); ++i) ::usleep(1000);
  CHECK(processes(place.runtime, "c")->empty());
  CHECK(message(remove(place.runtime, "c", {})) == "");
  CHECK_FALSE(groups.is_there());
  // A group with nobody in it yet, of a `create` that was killed: what is below it is not its own making.
  place.make(second);
  CHECK(message(remove(place.runtime, "d", {})) == "");
}

TEST_CASE("a group with nobody in it yet goes with the create that was killed") {
  const Place place;
  const Groups groups;
  if (!groups.make()) return;
  ContainerRecord record = place.record("c");
  record.location = groups.location;
  place.make(record);
  CHECK(message(remove(place.runtime, "c", {})) == "");
  CHECK(groups.is_there());  // a group below it, which is no work of ours
  for (const auto& directory : groups.location.v1) CHECK(::rmdir((directory.path + "/below").c_str()) == 0);
  if (!groups.location.v2.path.empty()) CHECK(::rmdir((groups.location.v2.path + "/below").c_str()) == 0);
  place.make(record);
  CHECK(message(remove(place.runtime, "c", {})) == "");
  CHECK_FALSE(groups.is_there());
}

TEST_CASE("a paused container dies of KILL, and of a delete by force with all that is in it") {
  const Place place;
  const Groups groups;
  Sleeper init;
  Sleeper other;
  Sleeper third;
  if (!groups.make() || !groups.add(init.pid())) return;
  ContainerRecord record = place.record("c", init.process());
  record.location = groups.location;
  place.make(record);
  REQUIRE(pause(place.runtime, "c"));
  // It is the first of no pid namespace: KILL is meant for all of the container, as it would be for one that is.
  CHECK(message(kill(place.runtime, "c", SIGKILL, {})) == "");
  CHECK(init.end_status(0) == SIGKILL);
  REQUIRE(groups.add(other.pid()));
  REQUIRE(groups.add(third.pid()));
  record.init = other.process();
  REQUIRE(place.opened("c").write(record));
  REQUIRE(pause(place.runtime, "c"));
  CHECK(message(remove(place.runtime, "c", {.force = true})) == "");
  CHECK(other.end_status(0) == SIGKILL);
  CHECK(third.end_status(0) == SIGKILL);
  CHECK_FALSE(groups.is_there());
}

TEST_CASE("update writes limits, and events tell what was used") {
  const Place place;
  const Groups groups;
  Sleeper init;
  if (!groups.make() || !groups.add(init.pid())) return;
  ContainerRecord record = place.record("c", init.process());
  record.location = groups.location;
  place.make(record, R"({"ociVersion":"1.3.0","root":{"path":"rootfs"}})");
  if (groups.text("pids.max") != "") {
    UpdateOptions options;
    options.resources.pids_limit = 77;
    CHECK(message(update(place.runtime, "c", options)) == "");
    CHECK(groups.text("pids.max") == "77\n");
    options.resources.cpu.emplace().shares = 3;
    options.mem_bw_schema = "MB:0=10";
    CHECK(message(update(place.runtime, "c", options)).find("resctrl") != std::string::npos);
  }
  std::vector<std::string> lines;
  const auto sink = [&](std::string_view line) {
    lines.emplace_back(line);
    return lines.size() < 3;
  };
  CHECK(message(events(place.runtime, "c", {.stats = true}, sink)) == "");
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].starts_with(R"({"type":"stats","id":"c","data":{)"));
  CHECK(message(events(place.runtime, "c", {.interval = std::chrono::milliseconds(0)}, sink)) ==
        "duration interval must be greater than 0");
  CHECK(message(events(place.runtime, "c", {.interval = std::chrono::milliseconds(5)}, sink)) == "");
  CHECK(lines.size() == 3);
  // To its end.
  std::thread killer([&] {
    ::usleep(30'000);
    ::kill(init.pid(), SIGKILL);
  });
  CHECK(message(events(place.runtime, "c", {.interval = std::chrono::milliseconds(60'000)}, sink)) == "");
  killer.join();
  CHECK(lines.size() == 3);
  CHECK(message(remove(place.runtime, "c", {.force = true})) == "");
}

}  // namespace clawrun::engine
