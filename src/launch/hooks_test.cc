#include "launch/hooks.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "sys/sys.h"

namespace clawrun::launch {

namespace {

class Scripts {
 public:
  Scripts() {
    char name[] = "/tmp/clawrun-hooks-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Scripts() {
    const std::string command = "rm -rf '" + path_ + "'";
    CHECK(::system(command.c_str()) == 0);
  }
  Scripts(const Scripts&) = delete;
  Scripts& operator=(const Scripts&) = delete;

  [[nodiscard]] std::string at(std::string_view name) const { return path_ + "/" + std::string(name); }
  [[nodiscard]] oci::Hook hook(const std::string& lines) const {
    const std::string path = at("hook" + std::to_string(count_++));
    const std::string text = "#!/bin/sh\n" + lines + "\n";
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700));
    REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    return {path, {}, {}, std::nullopt};
  }
  [[nodiscard]] std::string text(std::string_view name) const { return sys::read_file(at(name), 1 << 22U).value_or("<none>"); }
  [[nodiscard]] HookOptions options() const {
    HookOptions options;
    options.directory = path_;
    return options;
  }
  // The error, or "".
  [[nodiscard]] std::string run(const oci::Hook& hook, const std::string& state = "{}") const {
    const auto ran = run_hooks({&hook, 1}, "createRuntime", state, options());
    return ran ? "" : ran.error().message;
  }

 private:
  std::string path_;
  mutable int count_ = 0;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* stream = ::opendir("/proc/self/fd");
  REQUIRE(stream != nullptr);
  while (::readdir(stream) != nullptr) ++count;
  ::closedir(stream);
  return count;
}

constexpr const char* kPrefix = "error running createRuntime hook #0: ";
// In the shell alone, whose descriptors come and go where it starts others. Those from 10 on that it opens for itself are left
// out.
constexpr const char* kListDescriptors =
    "for link in /proc/self/fd/*; do fd=${link##*/}; case $fd in 1?|25?) continue;; esac; [ ! -L $link ] || echo $fd; done > fds";
constexpr const char* kShellDescriptors = "0\n1\n2\n";

// A process with namespaces of its own, and one in its pid namespace; nothing where the user may make none.
class Namespaces {
 public:
  Namespaces() {
    sys::Ends ready = sys::pipe().value();
    holder_ = ::fork();
    if (holder_ == 0) hold(ready.second.get());
    char answer = 0;
    if (::read(ready.first.get(), &answer, 1) != 1 || answer != 'y') return;
    user_ = open("user");
    uts_ = open("uts");
    pid_ = open("pid_for_children");
  }
  ~Namespaces() {
    ::kill(holder_, SIGKILL);
    ::waitpid(holder_, nullptr, 0);
  }
  Namespaces(const Namespaces&) = delete;
  Namespaces& operator=(const Namespaces&) = delete;

  [[nodiscard]] bool usable() const { return user_.valid() && uts_.valid() && pid_.valid(); }
  [[nodiscard]] int uts() const { return uts_.get(); }
  [[nodiscard]] std::vector<Joined> joined(int flags) const {
    std::vector<Joined> all;
    if (::geteuid() != 0) all.push_back({user_.get(), CLONE_NEWUSER});
    all.push_back({uts_.get(), CLONE_NEWUTS});
    if ((flags & CLONE_NEWPID) != 0) all.push_back({pid_.get(), CLONE_NEWPID});
    return all;
  }

 private:
  [[noreturn]] static void hold(int ready) {
    const int flags = CLONE_NEWUTS | CLONE_NEWPID | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
    const char answer = ::unshare(flags) == 0 && ::sethostname("in-hook", 7) == 0 ? 'y' : 'n';
    // A pid namespace can be joined once it has a first process, and while it has one.
    const pid_t first = ::fork();
    if (first == 0) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (first != 0) (void)!::write(ready, &answer, 1);
    for (;;) ::pause();
  }
  [[nodiscard]] UniqueFd open(const std::string& name) const {
    auto fd = sys::open("/proc/" + std::to_string(holder_) + "/ns/" + name, O_RDONLY);
    return fd ? std::move(*fd) : UniqueFd();
  }

  pid_t holder_ = -1;
  UniqueFd user_;
  UniqueFd uts_;
  UniqueFd pid_;
};

}  // namespace

TEST_CASE("a hook has its arguments, its environment, its directory, the state, and nothing else") {
  const Scripts scripts;
  ::setenv("CLAWRUN_TEST_LEAK", "1", 1);
  oci::Hook hook = scripts.hook(
      "cat > state; for a in \"$0\" \"$@\"; do echo \"$a\"; done > args; pwd > pwd\n"
      "tr '\\0' '\\n' < /proc/$$/environ > env; cut -d' ' -f6 /proc/$$/stat > sid; echo $$ > pid\n"
      "while read name value; do case $name in Sig[BI]*) echo $name $value;; esac; done "
      "< /proc/self/status > signals\n" +
      std::string(kListDescriptors));
  const std::string long_word(100, 'w');
  hook.args = {"zero", "one", "two words", "", long_word};
  hook.env = {"ONLY=this", "PATH=/usr/bin:/bin"};
  // What the caller has open, close-on-exec or not, and ignores and blocks.
  const int leaked = ::dup(2);
  const int leaked_high = ::fcntl(2, F_DUPFD, 300);
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);
  sigset_t blocked;
  sigset_t mask;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &blocked, &mask);
  const std::string error = scripts.run(hook, R"({"id":"c"})");
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  ::sigaction(SIGPIPE, &before, nullptr);
  ::close(leaked);
  ::close(leaked_high);
  ::unsetenv("CLAWRUN_TEST_LEAK");
  CHECK(error == "");
  CHECK(scripts.text("state") == R"({"id":"c"})");
  // The kernel puts the path of a script in the place of its args[0].
  CHECK(scripts.text("args") == hook.path + "\none\ntwo words\n\n" + long_word + "\n");
  CHECK(scripts.text("pwd").ends_with(scripts.at("\n").substr(scripts.at("\n").rfind("clawrun-hooks"), 20) + "\n"));
  CHECK(scripts.text("env") == "ONLY=this\nPATH=/usr/bin:/bin\n");
  CHECK(scripts.text("fds") == kShellDescriptors);
  CHECK(scripts.text("sid") == scripts.text("pid"));
  CHECK(scripts.text("signals").starts_with("SigBlk: 0000000000000000\nSigIgn: 0000000000000000\n"));
}

TEST_CASE("a program without args is called by its path, and without env has none") {
  const Scripts scripts;
  oci::Hook hook{"/bin/sh", {}, {}, std::nullopt};
  // With no arguments the shell executes its standard input.
  CHECK(scripts.run(hook, "tr '\\0' '\\n' < /proc/$$/cmdline > cmdline; tr '\\0' '\\n' < /proc/$$/environ > env") == "");
  CHECK(scripts.text("cmdline") == "/bin/sh\n");
  CHECK(scripts.text("env") == "");
}

TEST_CASE("a hook that fails stops those behind it, in runc's words") {
  const Scripts scripts;
  CHECK(scripts.run(scripts.hook("echo out; echo err >&2; exit 3")) ==
        std::string(kPrefix) + "exit status 3, stdout: out, stderr: err");
  CHECK(scripts.run(scripts.hook("kill -KILL $$")) == std::string(kPrefix) + "signal: killed, stdout: , stderr: ");
  CHECK(scripts.run(scripts.hook("kill -TERM $$")) == std::string(kPrefix) + "signal: terminated, stdout: , stderr: ");
  CHECK(scripts.run({"/nowhere/hook", {}, {}, std::nullopt}) ==
        std::string(kPrefix) + "fork/exec /nowhere/hook: no such file or directory");
  CHECK(scripts.run({scripts.at(""), {}, {}, std::nullopt}).ends_with(": permission denied"));
  HookOptions elsewhere;
  elsewhere.directory = "/nowhere";
  const oci::Hook fine = scripts.hook("exit 0");
  CHECK(run_hooks({&fine, 1}, "poststart", "{}", elsewhere).error().message ==
        "error running poststart hook #0: chdir /nowhere: no such file or directory");
  const std::vector<oci::Hook> three = {scripts.hook("touch first"), scripts.hook("exit 1"), scripts.hook("touch third")};
  CHECK(run_hooks(three, "prestart", "{}", scripts.options()).error().message ==
        "error running prestart hook #1: exit status 1, stdout: , stderr: ");
  CHECK(scripts.text("first") == "");
  CHECK(scripts.text("third") == "<none>");
  const auto errors = run_all_hooks(three, "poststop", "{}", scripts.options());
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].message == "error running poststop hook #1: exit status 1, stdout: , stderr: ");
  CHECK(scripts.text("third") == "");
  CHECK(run_hooks({}, "prestart", "{}", scripts.options()));
}

TEST_CASE("what a hook prints is in the error as one line, and the end of it when it is long") {
  const Scripts scripts;
  CHECK(scripts.run(scripts.hook("printf 'a\\nb\\033[31m\\377\\n\\n'; exit 1")) ==
        std::string(kPrefix) + "exit status 1, stdout: a\\nb\\x1b[31m\\xff, stderr: ");
  const std::string error = scripts.run(scripts.hook("head -c 3000000 /dev/zero | tr '\\0' x; echo end; exit 1"));
  CHECK(error.size() < 5000);
  CHECK(error.find("stdout: ... xxx") != std::string::npos);
  CHECK(error.find("xend, stderr: ") != std::string::npos);
  CHECK(scripts.run(scripts.hook("head -c 3000000 /dev/zero >&2")) == "");
}

TEST_CASE("a hook that does not read the state, or reads it late, holds up and kills nobody") {
  const Scripts scripts;
  const std::string large = "{\"a\":\"" + std::string(3'000'000, 'x') + "\"}";
  for (const char* lines : {"exit 0", "exec <&-; sleep 0.02", "head -c 10 > /dev/null", "sleep 0.02; cat > state"})
    for (const std::string& state : {std::string("{}"), std::string(20'000, ' '), large})
      CHECK(scripts.run(scripts.hook(lines), state) == "");
  CHECK(scripts.text("state") == large);
  CHECK(scripts.run(scripts.hook("cat > none"), "") == "");
}

TEST_CASE("a hook whose time is over is killed with its group, in another pid namespace too") {
  const Scripts scripts;
  const Namespaces namespaces;
  HookOptions options = scripts.options();
  if (namespaces.usable()) options.namespaces = namespaces.joined(CLONE_NEWPID);
  oci::Hook inside = scripts.hook("sleep 600");
  inside.timeout_s = 1;
  oci::Hook hook = scripts.hook("sleep 600 & echo $! > child; trap '' TERM; while :; do sleep 600; done");
  hook.timeout_s = 1;
  const auto start = std::chrono::steady_clock::now();
  std::string error_inside;
  std::thread beside([&] {
    const auto ran = run_hooks({&inside, 1}, "createContainer", "{}", options);
    if (!ran) error_inside = ran.error().message;
  });
  const std::string error = scripts.run(hook);
  beside.join();
  CHECK(error == std::string(kPrefix) + "hook ran past specified timeout of 1.0s");
  CHECK(error_inside == "error running createContainer hook #0: hook ran past specified timeout of 1.0s");
  CHECK(seconds_since(start) >= 0.99);
  CHECK(seconds_since(start) < 5);
  const std::string status = "/proc/" + scripts.text("child").substr(0, scripts.text("child").find('\n')) + "/stat";
  // Gone, or not waited for by whoever has it now.
  const auto has_ended = [&] { return sys::read_file(status, 4096).value_or(" Z ").find(" Z ") != std::string::npos; };
  for (int i = 0; i < 1000 && !has_ended(); ++i) ::usleep(1000);
  CHECK(has_ended());
  hook = scripts.hook("exit 0");
  hook.timeout_s = UINT32_MAX;
  CHECK(scripts.run(hook) == "");
}

TEST_CASE("what a hook leaves running is not waited for") {
  const Scripts scripts;
  const auto start = std::chrono::steady_clock::now();
  CHECK(scripts.run(scripts.hook("sleep 3 & exit 0")) == "");
  CHECK(scripts.run(scripts.hook("(while :; do echo x; done) & echo $! > child; exit 1")).starts_with(kPrefix));
  CHECK(seconds_since(start) < 2);
}

TEST_CASE("a hook's output may go elsewhere, and no descriptor is left here") {
  const Scripts scripts;
  const std::size_t before = open_descriptors();
  {
    const UniqueFd log(::open(scripts.at("log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    HookOptions options = scripts.options();
    options.stdout_fd = log.get();
    options.stderr_fd = log.get();
    const oci::Hook hook = scripts.hook("echo one; echo two >&2; exit 1");
    CHECK(run_hooks({&hook, 1}, "prestart", "{}", options).error().message ==
          "error running prestart hook #0: exit status 1, stdout: , stderr: ");
    CHECK(scripts.text("log") == "one\ntwo\n");
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("the exit status is there although the caller ignores SIGCHLD") {
  const Scripts scripts;
  struct sigaction ignore {};
  struct sigaction before {};
  struct sigaction after {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGCHLD, &ignore, &before);
  CHECK(scripts.run(scripts.hook("exit 4")).starts_with(std::string(kPrefix) + "exit status 4"));
  ::sigaction(SIGCHLD, &before, &after);
  const bool restored = after.sa_handler == SIG_IGN;
  CHECK(restored);
}

TEST_CASE("a hook runs in the namespaces it is given") {
  const Scripts scripts;
  const Namespaces namespaces;
  if (!namespaces.usable()) {
    MESSAGE("this user can make no namespaces");
    return;
  }
  HookOptions options = scripts.options();
  const auto run = [&](const oci::Hook& hook) {
    const auto ran = run_hooks({&hook, 1}, "createRuntime", "{\"x\":1}", options);
    return ran ? std::string() : ran.error().message;
  };
  options.namespaces = namespaces.joined(CLONE_NEWUTS);
  const oci::Hook named = scripts.hook("uname -n > name\n" + std::string(kListDescriptors));
  CHECK(run(named) == "");
  CHECK(scripts.text("name") == "in-hook\n");
  CHECK(scripts.text("fds") == kShellDescriptors);
  options.namespaces = namespaces.joined(CLONE_NEWPID);
  CHECK(run(scripts.hook("echo $$ > pid; cat > state; exit 5")) == std::string(kPrefix) + "exit status 5, stdout: , stderr: ");
  CHECK(std::atoi(scripts.text("pid").c_str()) < 10);
  CHECK(scripts.text("state") == "{\"x\":1}");
  CHECK(run(scripts.hook("kill -TERM $$")).find("signal: terminated") != std::string::npos);
  CHECK(run({"/nowhere/hook", {}, {}, std::nullopt}).ends_with("fork/exec /nowhere/hook: no such file or directory"));
  options.namespaces = {{namespaces.uts(), CLONE_NEWNET}};
  CHECK(run(named) == std::string(kPrefix) + "joining the namespaces of the container: invalid argument");
}

}  // namespace clawrun::launch
