// Files into a sandbox and out of it, while what runs inside does its worst. One TAP line each.
#include <clawrun/clawrun.hpp>

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

namespace {

using clawrun::Running;
using namespace std::chrono_literals;
namespace stream = clawrun::stream;

int number = 0;
int failed = 0;

void check(bool good, const std::string& what) {
  std::printf("%sok %d - %s\n", good ? "" : "not ", ++number, what.c_str());
  if (!good) ++failed;
}

Running start(const std::string& script, clawrun::Sandbox spec = {}) {
  (void)spec.set("timeout", "60s");
  (void)spec.set("tmp-size", "8m");
  (void)spec.command({"/bin/sh", "-c", script});
  auto started = spec.spawn({stream::kPipe, stream::kCapture, stream::kInherit});
  if (!started) {
    std::printf("Bail out! %s\n", started.error().message.c_str());
    std::exit(1);
  }
  return std::move(*started);
}

void await(Running& running, const std::string& file) {
  for (int i = 0; i < 1000 && !running.get_file(file, 100); ++i) std::this_thread::sleep_for(10ms);
}

bool ends(Running& running) {
  const auto ended = running.wait(30s);
  return ended && *ended;
}

template <typename T>
bool fails_with(const clawrun::Expected<T>& result, int error, const std::string& word) {
  return !result && (error == 0 || result.error().errno_value == error) && result.error().message.find(word) != std::string::npos;
}

void in_and_out() {
  clawrun::Sandbox spec;
  const std::string binary("\0\xff\n", 3);
  (void)spec.file("in/a/data", binary);
  (void)spec.file("tool", "#!/bin/sh\necho from the tool\n", 0755);
  Running running = start(
      "./tool; cat in/a/data > copy; stat -c %u:%a tool; touch ready; read x; cat later; echo over > in/a/data", std::move(spec));
  await(running, "ready");
  check(running.put_file("later", "put while it ran\n").has_value(), "a file is put while it runs");
  check(running.put_file("new/dir/file", "x", 0640).has_value() && running.get_file("new/dir/file", 10) == "x",
        "directories are made");
  check(running.put_file("later", "put again\n").has_value(), "and a file replaced");
  ::close(running.take_stream(0));
  check(ends(running) && running.output(1) == "from the tool\n1000:755\nput again\n",
        "the command found them, and they are its own");
  check(running.get_file("copy", 3) == binary, "a result is there after the end, byte for byte");
  check(running.get_file("in/a/data", 100) == "over\n", "and what it changed");
  check(fails_with(running.get_file("copy", 2), EFBIG, "larger"), "a file that is larger than allowed is an error");
  const auto listed = running.list();
  check(listed && listed->find("\"name\":\"copy\",\"type\":\"file\",\"size\":3") != std::string::npos &&
            listed->find(".clawrun-") == std::string::npos,
        "the directory is listed, without temporary files");
  check(running.list("new/dir").value_or("").starts_with("[{\"name\":\"file\""), "and one below it");
}

void paths() {
  Running running = start(
      "mkdir d; ln -s /etc/passwd link; ln -s / d/root; ln -s . here; mkfifo fifo; ln -s nowhere broken; touch ready; read x");
  await(running, "ready");
  for (const char* path : {"../etc/passwd", "/etc/passwd", "d/../../etc/passwd", "d//x", ".", "..", "", "d/"}) {
    check(!running.get_file(path, 100) && !running.put_file(path, "x"), std::string("refused: \"") + path + "\"");
  }
  check(fails_with(running.get_file("link", 10000), ELOOP, "symbolic link"), "no link is read through");
  check(fails_with(running.get_file("d/root/etc/passwd", 10000), ELOOP, "symbolic link"), "nor one on the way");
  check(fails_with(running.get_file("here/ready", 100), ELOOP, "symbolic link"), "nor one that stays inside");
  check(fails_with(running.put_file("d/root/tmp/x", "x"), 0, "d/root"), "and none is written through");
  check(running.put_file("broken", "mine").has_value() && running.get_file("broken", 10) == "mine",
        "a link in the place of a file is replaced");
  check(fails_with(running.get_file("fifo", 100), ENXIO, "regular"), "a FIFO is refused, at once");
  check(fails_with(running.get_file("d", 100), EISDIR, ""), "and a directory");
  check(fails_with(running.list("link"), 0, "link") && fails_with(running.list("fifo"), 0, "fifo"), "only a directory is listed");
  check(!running.put_file("set-user-id", "x", 04755), "a mode has permission bits only");
}

void sizes() {
  Running running =
      start("truncate -s 1T sparse; yes | head -c 1000000 > big; touch ready; while :; do cat big; done > growing; read x");
  await(running, "ready");
  check(fails_with(running.get_file("sparse", 1 << 20U), EFBIG, "larger"), "a huge sparse file costs nothing");
  bool bounded = true;
  for (int i = 0; i < 50; ++i) {
    const auto got = running.get_file("growing", 100'000);
    bounded = bounded && (got ? got->size() <= 100'000 : got.error().errno_value == EFBIG || got.error().errno_value == ENOENT);
  }
  check(bounded, "a file that grows meanwhile is never read beyond what is allowed");
  (void)running.kill();
  Running full = start("touch ready; read x");
  await(full, "ready");
  const auto refused = full.put_file("large", std::string(9 << 20U, 'x'));
  check(fails_with(refused, ENOSPC, "no room"), "a full file system is said in words");
  check(full.list().value_or("").find("clawrun-") == std::string::npos, "and nothing half-written is left");
}

// The sandbox swaps a directory for a link to the host's files, and a file for links and FIFOs, as fast as it can.
void races() {
  Running running = start(
      "mkdir -p a; exec 2> /dev/null; echo inside > a/passwd; touch ready;"
      "while :; do mv a b; ln -s /etc a; rm -rf a; mv b a; rm -f f; ln -s /etc/passwd f; rm f; mkfifo f; rm f; echo inside > f; "
      "done");
  await(running, "ready");
  int outside = 0;
  int inside = 0;
  const auto until = std::chrono::steady_clock::now() + 2s;
  while (std::chrono::steady_clock::now() < until) {
    for (const char* path : {"a/passwd", "f"}) {
      const auto got = running.get_file(path, 1 << 20U);
      if (got && *got != "inside\n" && !got->empty() && *got != "put") ++outside;
      if (got && *got == "inside\n") ++inside;
    }
    (void)running.put_file("a/put", "put");
  }
  check(outside == 0 && inside > 0, "a race of links is never won");
}

void before_the_start() {
  clawrun::Sandbox spec;
  (void)spec.command({"true"});
  (void)spec.file("../up", "");
  (void)spec.file("/absolute", "");
  (void)spec.file("twice", "");
  (void)spec.file("twice", "");
  (void)spec.set("hostname", "no_host");
  const std::string problems = spec.validate().value_or("");
  for (const char* part : {"../up", "/absolute", "two files", "hostname"})
    check(problems.find(part) != std::string::npos, std::string("validate() names ") + part);
  check(!spec.spawn(), "and nothing starts");
  clawrun::Sandbox fine;
  (void)fine.command({"true"});
  check(fine.validate() == "[]", "where there is no problem it is an empty array");
  clawrun::Sandbox bound;
  (void)bound.command({"true"});
  (void)bound.set("workspace", "/tmp");
  (void)bound.file("x", "");
  check(bound.validate().value_or("").find("workspace") != std::string::npos, "no file goes into the caller's directory");
}

void workspace(const char* directory) {
  clawrun::Sandbox spec;
  (void)spec.set("workspace", directory);
  Running running = start("echo made > out; touch ready; read x", std::move(spec));
  await(running, "ready");
  check(running.get_file("out", 100) == "made\n", "files of a workspace of the caller's are read");
  check(running.put_file("in", "given").has_value(), "and put there");
  (void)running.kill();
}

}  // namespace

int main(int argc, char** argv) {
  in_and_out();
  paths();
  sizes();
  races();
  before_the_start();
  if (argc > 1) workspace(argv[1]);
  std::printf("1..%d\n", number);
  return failed == 0 ? 0 : 1;
}
