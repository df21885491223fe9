#include "state/container.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <set>

#include "state/container_process.h"
#include "state/container_record.h"

namespace clawrun::state {

namespace {

using std::chrono::milliseconds;

class Root {
 public:
  Root() {
    char name[] = "/tmp/clawrun-container-XXXXXX";
    base_ = ::mkdtemp(name);
  }
  ~Root() {
    const std::string command = "rm -rf '" + base_ + "'";
    CHECK(::system(command.c_str()) == 0);
  }
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;

  // Below it, so that making the root is tried too.
  [[nodiscard]] std::string path() const { return base_ + "/a/b"; }
  [[nodiscard]] std::string at(std::string_view name) const { return path() + "/" + std::string(name); }
  [[nodiscard]] std::string beside(std::string_view name) const { return base_ + "/" + std::string(name); }
  void file(std::string_view name, std::string_view text, mode_t mode = 0600) const {
    ::unlink(at(name).c_str());
    const UniqueFd fd(::open(at(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    REQUIRE(::fchmod(fd.get(), mode) == 0);
  }
  void directory(std::string_view name, mode_t mode = 0700) const {
    REQUIRE(::mkdir(at(name).c_str(), 0700) == 0);
    REQUIRE(::chmod(at(name).c_str(), mode) == 0);
  }
  [[nodiscard]] bool has(std::string_view name) const {
    struct stat status {};
    return ::lstat(at(name).c_str(), &status) == 0;
  }

 private:
  std::string base_;
};

// A child that lives until it is told otherwise.
class Sleeper {
 public:
  Sleeper() : pid_(::fork()) {
    if (pid_ == 0)
      for (;;) ::pause();
  }
  ~Sleeper() { end(); }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  [[nodiscard]] Process process() const { return identify(pid_).value(); }
  void kill() const { ::kill(pid_, SIGKILL); }
  void end() {
    if (pid_ <= 0) return;
    kill();
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_;
};

int run_in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

ContainerRecord record_of(const std::string& id) {
  ContainerRecord record;
  record.id = id;
  record.oci_version = "1.2.0";
  record.bundle = "/bundle/of it";
  record.rootfs = "/bundle/of it/rootfs";
  record.owner = 7;
  record.created = "2026-11-21T10:00:00.123456789Z";
  record.annotations = {{"a.b/c", "\"quoted\"\n\x01"}, {"ü", "日本"}};
  record.location.v2 = {{"memory", "pids"}, "/sys/fs/cgroup/unified/x/y"};
  record.location.v1 = {{{"cpu", "cpuacct"}, "/sys/fs/cgroup/cpu/x/y"}, {{"freezer"}, "/sys/fs/cgroup/freezer/none/y"}};
  record.location.unit = "a-b.scope";
  record.location.driver = cgroup::Driver::kSystemd;
  record.location.user_manager = true;
  record.systemd_cgroup = true;
  record.intel_rdt_path = "/sys/fs/resctrl/x";
  record.rootless = true;
  return record;
}

Container opened(const Root& root, const std::string& id, Container::Lock lock = Container::Lock::kShared) {
  auto container = Container::open(root.path(), id, lock);
  REQUIRE_MESSAGE(container, (container ? "" : container.error().message));
  return std::move(*container);
}

ContainerStatus status_of(const Root& root, const std::string& id) {
  auto state = opened(root, id).state();
  REQUIRE_MESSAGE(state, (state ? "" : state.error().message));
  return state->status;
}

std::string error_of(const Root& root, const std::string& id) {
  auto container = Container::open(root.path(), id, Container::Lock::kShared);
  if (!container) return container.error().message;
  auto state = container->state();
  return state ? "" : state.error().message;
}

// Made and let go, as `create` does.
void make(const Root& root, const ContainerRecord& record) {
  auto container = Container::create(root.path(), record.id);
  REQUIRE_MESSAGE(container, (container ? "" : container.error().message));
  REQUIRE(container->write(record));
}

}  // namespace

TEST_CASE("the id of a container is runc's") {
  for (const char* id : {"a", "A-b_c+d.e", "...", "-", "0"}) CHECK(check_container_id(id));
  CHECK(check_container_id(std::string(1024, 'x')));
  for (const char* id : {".", "..", "a/b", "a b", "a\n", "ä", "a,b", "/"}) {
    const auto checked = check_container_id(id);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().message == "invalid container ID format");
  }
  CHECK_FALSE(check_container_id(std::string(1025, 'x')));
  CHECK_FALSE(check_container_id(std::string("a\0b", 3)));
  CHECK(check_container_id("").error().message == "container id cannot be empty");
}

TEST_CASE("a record of a container comes back as it was") {
  ContainerRecord record = record_of("c");
  record.init = {17, UINT64_MAX, UINT64_MAX};
  record.maker = {18, 1};
  const std::string text = container_to_text(record).value();
  const auto again = parse_container(text);
  REQUIRE_MESSAGE(again, (again ? "" : again.error().message));
  CHECK(container_to_text(*again).value() == text);
  CHECK(again->annotations == record.annotations);
  CHECK(again->location.v1.at(1).path == record.location.v1.at(1).path);
  CHECK(again->init == record.init);
  CHECK(again->maker == record.maker);
  CHECK(again->location.driver == cgroup::Driver::kSystemd);
  record.bundle = "/\xff";
  CHECK_FALSE(container_to_text(record));
}

TEST_CASE("what is no record of a container is refused, and the error says where") {
  const std::string good = container_to_text(record_of("c")).value();
  const auto refused = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    const auto parsed = parse_container(text);
    return parsed ? std::string() : parsed.error().message;
  };
  CHECK(refused(R"("owner":7)", R"("owner":-1)") == "owner: must be a number, not negative");
  CHECK(refused(R"("owner":7)", R"("owner":4294967296)") == "owner: is too large");
  CHECK(refused(R"("owner":7)", R"("owner":"7")") == "owner: must be a number, not negative");
  CHECK(refused(R"("owner":7)", R"("owner":7.0)") == "owner: must be a number, not negative");
  CHECK(refused(R"("owner":7)", R"("owner":7,"owner":7)") == "a member is there twice");
  CHECK(refused(R"("owner":7)", R"("owner":7,"other":7)") == "other: there is no such member");
  CHECK(refused(R"("owner":7,)", "") == "owner: is missing");
  CHECK(refused(R"("pid":0)", R"("pid":2147483648)") == "init.pid: is too large");
  CHECK(refused(R"("pid":0)", R"("pid":0,"pidfd_inode":null)") == "init.pidfd_inode: must be a number, not negative");
  CHECK(refused(R"("pid":0)", R"("pid":0,"inode":1)") == "init.inode: there is no such member");
  CHECK(refused(R"("pid":0)", R"("pid":null)") == "init.pid: must be a number, not negative");
  CHECK(refused(R"("id":"c")", R"("id":"../c")") == "id: is no id of a container");
  CHECK(refused(R"(/x/y",)", R"(/x/../y",)") == "cgroup.v2.path: is no path of a cgroup");
  CHECK(refused(R"("/sys/fs/cgroup/cpu/x/y")", R"("")") == "cgroup.v1.path: is no path of a cgroup");
  CHECK(refused(R"("/sys/fs/cgroup/cpu/x/y")", R"("/")") == "cgroup.v1.path: is no path of a cgroup");
  CHECK(refused(R"("/sys/fs/resctrl/x")", R"("x")") == "intel_rdt_path: is no path of a group");
  CHECK(refused(R"("a.b/c":)", R"("x":1,"a.b/c":)") == "annotations: must be an object of strings");
  CHECK(refused(R"("memory")", "1") == "cgroup.v2.controllers: must be a list of strings");
  CHECK(refused(R"("systemd")", R"("other")") == "cgroup.driver: must be cgroupfs or systemd");
  CHECK(refused(R"("clawrun_container":1)", R"("clawrun_container":2)") == "another version of clawrun wrote it");
  CHECK(refused(R"("clawrun_container":1)", R"("id2":1)") == "another runtime wrote it");
  // Beginnings of it, and bytes changed: an error or a record, and never more than that.
  for (std::size_t size = 0; size + 1 < good.size(); size += 5) CHECK_FALSE(parse_container(good.substr(0, size)));
  for (std::size_t i = 0; i < good.size(); i += 3) {
    std::string text = good;
    text[i] = static_cast<char>(text[i] ^ 0x15);
    (void)parse_container(text);
  }
  CHECK_FALSE(parse_container(std::string(100'000, '[')));
  CHECK_FALSE(parse_container(std::string(kMaxContainerBytes + 1, ' ')));
  for (const char* text : {"null", "[]", "1", "\"\"", "{}", "{\"clawrun_container\":1}", "{\"clawrun_container\":{}}"})
    CHECK_FALSE(parse_container(text));
}

TEST_CASE("what a hook reads is the state of the specification") {
  ContainerRecord record = record_of("c");
  record.init = {17, 1};
  record.annotations = {{"k", "v"}};
  CHECK(hook_state_json(record, "creating") ==
        R"({"ociVersion":"1.2.0","id":"c","status":"creating","pid":17,"bundle":"/bundle/of it","annotations":{"k":"v"}})");
  CHECK(hook_state_json(record, "stopped").find(R"("status":"stopped","pid":0,)") != std::string::npos);
}

TEST_CASE("a container is there from create to remove, once") {
  const Root root;
  CHECK(Container::open(root.path(), "c", Container::Lock::kShared).error().message == "container does not exist");
  CHECK(list_containers(root.path()).value().containers.empty());
  {
    auto container = Container::create(root.path(), "c");
    REQUIRE_MESSAGE(container, (container ? "" : container.error().message));
    struct stat status {};
    REQUIRE(::stat(root.at("c").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0700);
    const auto again = Container::create(root.path(), "c");
    CHECK(again.error().message == "container with given ID already exists");
    CHECK(container->read().error().kind == ErrorKind::kNotFound);
    CHECK(container->state()->status == ContainerStatus::kCreating);
    CHECK(status_of(root, "c") == ContainerStatus::kCreating);  // for others, by the lock
    CHECK_FALSE(container->write(record_of("d")));
    REQUIRE(container->write(record_of("c")));
    REQUIRE(container->write_config("{}"));
    CHECK(container->read_config() == "{}");
    CHECK(status_of(root, "c") == ContainerStatus::kCreating);
  }
  CHECK(status_of(root, "c") == ContainerStatus::kStopped);
  CHECK(list_containers(root.path())->containers.size() == 1);
  CHECK_FALSE(opened(root, "c").write(record_of("c")));  // not locked
  CHECK_FALSE(opened(root, "c").remove());
  CHECK(root.has("c/state.json"));
  root.directory("c/below");
  root.file("c/below/file", "");
  CHECK(::symlink("/", root.at("c/link").c_str()) == 0);
  CHECK(opened(root, "c", Container::Lock::kExclusive).remove());
  CHECK_FALSE(root.has("c"));
  CHECK(Container::create(root.path(), std::string(300, 'x')).error().errno_value == ENAMETOOLONG);
  CHECK(Container::open(root.path(), std::string(300, 'x'), Container::Lock::kShared).error().kind == ErrorKind::kNotFound);
}

TEST_CASE("the status is that of the process, whoever died before") {
  const Root root;
  Sleeper init;
  Sleeper maker;
  ContainerRecord record = record_of("c");
  record.location = {};
  record.maker = maker.process();
  make(root, record);
  CHECK(status_of(root, "c") == ContainerStatus::kCreating);
  auto container = opened(root, "c", Container::Lock::kExclusive);
  record.init = init.process();
  REQUIRE(container.write(record));
  REQUIRE(container.make_gate());
  REQUIRE(container.make_gate());  // those of a `create` that was killed
  CHECK(status_of(root, "c") == ContainerStatus::kCreating);
  maker.kill();
  CHECK(wait_for_end(record.maker, milliseconds(2000)));
  // A zombie, and then nothing: the maker died half-way, so this will never be a created container.
  CHECK(status_of(root, "c") == ContainerStatus::kStopped);
  maker.end();
  CHECK(status_of(root, "c") == ContainerStatus::kStopped);
  record.maker = {};
  REQUIRE(container.write(record));
  // Nobody waits at it: who opened it was killed before the file was removed.
  CHECK(status_of(root, "c") == ContainerStatus::kRunning);
  const UniqueFd waiting(::open((root.path() + "/c/gate").c_str(), O_RDWR | O_CLOEXEC));
  CHECK(container.is_at_gate());
  CHECK(status_of(root, "c") == ContainerStatus::kCreated);
  container.remove_gate();
  CHECK_FALSE(root.has("c/report"));
  CHECK(status_of(root, "c") == ContainerStatus::kRunning);
  const auto listing = list_containers(root.path());
  REQUIRE(listing->containers.size() == 1);
  CHECK(listing->containers[0].status == ContainerStatus::kRunning);
  // The number of another process.
  ContainerRecord other = record;
  other.init.start_ticks += 1;
  REQUIRE(container.write(other));
  CHECK(status_of(root, "c") == ContainerStatus::kStopped);
  REQUIRE(container.write(record));
  init.kill();
  CHECK(wait_for_end(record.init, milliseconds(2000)));
  CHECK(status_of(root, "c") == ContainerStatus::kStopped);
  init.end();
  CHECK(status_of(root, "c") == ContainerStatus::kStopped);
  CHECK(container.remove());
}

TEST_CASE("a container that its freezer stops is paused") {
  const Root root;
  Sleeper init;
  ContainerRecord record = record_of("c");
  record.init = init.process();
  record.location = {};
  record.location.v2.path = root.beside("v2/x");
  record.location.v1 = {{{"freezer"}, root.beside("v1/x")}};
  make(root, record);
  CHECK(status_of(root, "c") == ContainerStatus::kRunning);  // no such groups
  const std::string command = "mkdir -p " + record.location.v2.path + " " + record.location.v1[0].path;
  REQUIRE(::system(command.c_str()) == 0);
  const auto set = [&](const char* file, std::string_view text) { root.file(std::string("../../") + file, text); };
  set("v2/x/cgroup.freeze", "1\n");
  CHECK(status_of(root, "c") == ContainerStatus::kPaused);
  set("v2/x/cgroup.freeze", "0\n");
  CHECK(status_of(root, "c") == ContainerStatus::kRunning);
  for (const char* state : {"FROZEN\n", "FREEZING\n"}) {
    set("v1/x/freezer.state", state);
    CHECK(status_of(root, "c") == ContainerStatus::kPaused);
  }
  set("v1/x/freezer.state", "THAWED\n");
  CHECK(status_of(root, "c") == ContainerStatus::kRunning);
}

TEST_CASE("what another runtime made is an error for its id, and left out of lists") {
  const Root root;
  make(root, record_of("ours"));
  root.directory("runc");
  root.file("runc/state.json", R"({"id":"runc","init_process_pid":1,"config":{"a":[[[[[[[[[[[[1]]]]]]]]]]]]}})");
  root.directory("crun");
  root.file("crun/status", "{}");
  root.file("file", "");
  root.directory("not an id");
  root.directory("broken");
  root.file("broken/state.json", "{");
  root.directory("renamed");
  root.file("renamed/state.json", container_to_text(record_of("other")).value());
  CHECK(::symlink("ours", root.at("link").c_str()) == 0);
  root.directory("empty");  // of a `create` that was killed
  root.directory("half");
  root.file("half/.new", "");
  root.file("half/config.json", "");
  root.directory("lost");
  root.file("lost/state.json", "");
  CHECK(status_of(root, "lost") == ContainerStatus::kStopped);
  CHECK(opened(root, "lost", Container::Lock::kExclusive).remove());
  CHECK(
      error_of(root, "runc").ends_with("/runc is not the state of a container of clawrun: state.json: another runtime wrote it"));
  CHECK(error_of(root, "crun").ends_with("/crun is not the state of a container of clawrun: another runtime made it"));
  CHECK(error_of(root, "broken").find("not JSON") != std::string::npos);
  CHECK(error_of(root, "renamed").ends_with("state.json is that of \"other\""));
  CHECK(error_of(root, "link") != "");
  CHECK(error_of(root, "file") != "");
  CHECK(status_of(root, "empty") == ContainerStatus::kStopped);
  CHECK(status_of(root, "half") == ContainerStatus::kStopped);
  const auto listing = list_containers(root.path()).value();
  std::string ids;
  for (const auto& state : listing.containers) ids += state.record.id + " ";
  CHECK(ids == "empty half ours ");
  CHECK(listing.problems.size() == 4);
  CHECK(Container::create(root.path(), "runc").error().message == "container with given ID already exists");
}

TEST_CASE("a state that others could have written is not believed") {
  const Root root;
  make(root, record_of("c"));
  CHECK(::chmod(root.at("c").c_str(), 0770) == 0);
  CHECK(error_of(root, "c").find("can be written by others") != std::string::npos);
  CHECK(::chmod(root.at("c").c_str(), 0700) == 0);
  const std::string text = container_to_text(record_of("c")).value();
  root.file("c/state.json", text, 0622);
  CHECK(error_of(root, "c").find("can be written by others") != std::string::npos);
  root.file("elsewhere", text);
  CHECK(::unlink(root.at("c/state.json").c_str()) == 0);
  CHECK(::symlink("../elsewhere", root.at("c/state.json").c_str()) == 0);
  CHECK(error_of(root, "c") != "");
  CHECK(::unlink(root.at("c/state.json").c_str()) == 0);
  CHECK(::mkfifo(root.at("c/state.json").c_str(), 0600) == 0);  // must not be waited for
  CHECK(error_of(root, "c").ends_with("is no regular file"));
  CHECK(::unlink(root.at("c/state.json").c_str()) == 0);
  root.file("c/state.json", "");
  CHECK(::truncate(root.at("c/state.json").c_str(), static_cast<off_t>(kMaxContainerBytes + 1)) == 0);
  CHECK(error_of(root, "c").find("larger than") != std::string::npos);
  CHECK(::chmod(root.path().c_str(), 0777) == 0);
  CHECK(error_of(root, "c").find("can be written by others") != std::string::npos);
  CHECK(::chmod(root.path().c_str(), 01777) == 0);
  CHECK(error_of(root, "c").find("larger than") != std::string::npos);
  if (::geteuid() == 0) {
    root.file("c/state.json", text);
    CHECK(error_of(root, "c") == "");
    CHECK(::chown(root.at("c/state.json").c_str(), 12345, 0) == 0);
    CHECK(error_of(root, "c").find("belongs to uid 12345") != std::string::npos);
    CHECK(::chown(root.at("c").c_str(), 12345, 0) == 0);
    CHECK(error_of(root, "c").find("belongs to uid 12345") != std::string::npos);
  }
}

TEST_CASE("one runtime at a time changes a container, and readers wait for nobody") {
  const Root root;
  make(root, record_of("c"));
  {
    const Container held = opened(root, "c", Container::Lock::kExclusive);
    const auto second = Container::open(root.path(), "c", Container::Lock::kExclusive, milliseconds(20));
    REQUIRE_FALSE(second);
    CHECK(second.error().kind == ErrorKind::kDenied);
    CHECK(opened(root, "c").read());
  }
  CHECK(Container::open(root.path(), "c", Container::Lock::kExclusive, milliseconds(0)));
  // A lock dies with its runtime, whatever ends it.
  CHECK(run_in_child([&] {
          const auto held = Container::open(root.path(), "c", Container::Lock::kExclusive);
          return held ? ::raise(SIGKILL) : 1;
        }) == 128 + SIGKILL);
  CHECK(Container::open(root.path(), "c", Container::Lock::kExclusive, milliseconds(0)));
}

TEST_CASE("many processes make and remove one container, and never two have it") {
  const Root root;
  const std::string marker = root.beside("marker");
  constexpr int kProcesses = 6;
  constexpr int kRounds = 40;
  std::set<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    if (child != 0) {
      children.insert(child);
      continue;
    }
    for (int round = 0; round < kRounds; ++round) {
      auto container = (round + i) % 3 == 0 ? Container::open(root.path(), "c", Container::Lock::kExclusive)
                                            : Container::create(root.path(), "c");
      if (!container) {
        const std::string& text = container.error().message;
        if (text != "container with given ID already exists" && text != "container does not exist") ::_exit(1);
        (void)list_containers(root.path());
        continue;
      }
      const UniqueFd mark(::open(marker.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
      if (!mark.valid()) ::_exit(2);
      if (!container->write(record_of("c")) || !container->make_gate()) ::_exit(3);
      if (!container->read()) ::_exit(4);
      if (::unlink(marker.c_str()) != 0) ::_exit(5);
      if (!container->remove()) ::_exit(6);
    }
    ::_exit(0);
  }
  for (const pid_t child : children) {
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  CHECK_FALSE(root.has("c"));
}

TEST_CASE("a runtime that is killed anywhere leaves what tells the truth and can be removed") {
  const Root root;
  for (int round = 0; round < 40; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto container = Container::create(root.path(), "c");
      if (!container) ::_exit(1);
      ContainerRecord record = record_of("c");
      record.location = {};
      record.maker = identify(::getpid()).value();
      for (;;) {
        record.created += "x";
        if (!container->write(record) || !container->write_config("{}") || !container->make_gate()) ::_exit(1);
        container->remove_gate();
      }
    }
    ::usleep(static_cast<useconds_t>(round % 2 == 0 ? round * 10 : round * 50));
    CHECK(list_containers(root.path())->problems.empty());
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    if (!root.has("c")) continue;
    CHECK(error_of(root, "c") == "");
    CHECK(status_of(root, "c") == ContainerStatus::kStopped);
    CHECK(opened(root, "c", Container::Lock::kExclusive).remove());
    CHECK_FALSE(root.has("c"));
  }
}

TEST_CASE("a signal reaches the process that was meant, or nobody") {
  Sleeper sleeper;
  const Process process = sleeper.process();
  CHECK(signal_process(process, 0));
  Process other = process;
  other.start_ticks += 1;
  CHECK(signal_process(other, SIGKILL).error().kind == ErrorKind::kNotFound);
  CHECK_FALSE(wait_for_end(process, milliseconds(5)));
  CHECK(wait_for_end(other, milliseconds(5)));
  CHECK(signal_process(Process{}, SIGKILL).error().kind == ErrorKind::kNotFound);
  CHECK(signal_process(process, SIGKILL));
  CHECK(wait_for_end(process, milliseconds(2000)));
  CHECK(signal_process(process, SIGKILL).error().kind == ErrorKind::kNotFound);  // a zombie
}

TEST_CASE("a process of the same number and the same tick is another") {
  Sleeper sleeper;
  const Process process = sleeper.process();
  CHECK(identify(process.pid).value() == process);
  if (process.pidfd_inode == 0) {
    MESSAGE("not checked: this kernel's pidfds have no inodes of their own");
    return;
  }
  Process other = process;
  other.pidfd_inode += 1;
  CHECK(is_alive(process));
  CHECK_FALSE(is_alive(other));
  CHECK(signal_process(other, SIGKILL).error().kind == ErrorKind::kNotFound);
  CHECK(wait_for_end(other, milliseconds(5)));
  // What a kernel without them has recorded.
  other.pidfd_inode = 0;
  CHECK(is_alive(other));
  CHECK(is_alive(process));
}

TEST_CASE("the root of the containers is the caller's runtime directory, or /run") {
  const char* before = ::getenv("XDG_RUNTIME_DIR");
  const std::string saved = before == nullptr ? "" : before;
  ::setenv("XDG_RUNTIME_DIR", "", 1);
  if (::geteuid() == 0) CHECK(default_container_root() == "/run/clawrun/containers");
  ::setenv("XDG_RUNTIME_DIR", "relative", 1);
  CHECK(default_container_root().starts_with("/run/"));
  if (::geteuid() != 0) {
    ::setenv("XDG_RUNTIME_DIR", "/some/where", 1);
    CHECK(default_container_root() == "/some/where/clawrun/containers");
  }
  if (before == nullptr)
    ::unsetenv("XDG_RUNTIME_DIR");
  else
    ::setenv("XDG_RUNTIME_DIR", saved.c_str(), 1);
}

}  // namespace clawrun::state
