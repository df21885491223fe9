#include "seccomp/cache.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "seccomp/cache_file.h"
#include "seccomp/interpret.h"

namespace clawrun::seccomp {

namespace {

namespace fs = std::filesystem;

constexpr const char* kJson = R"({"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[
  {"names":["getpid","no_such_call"],"action":"SCMP_ACT_ERRNO","errnoRet":7}]})";

void write_file(const std::string& path, const std::string& bytes) {
  fs::remove(path);
  std::FILE* stream = std::fopen(path.c_str(), "wxe");
  REQUIRE(stream != nullptr);
  CHECK(std::fwrite(bytes.data(), 1, bytes.size(), stream) == bytes.size());
  std::fclose(stream);
  chmod(path.c_str(), 0600);
}

std::string read_file(const std::string& path) {
  return read_profile_file(path).value_or("");
}

// A directory with a profile in it, and the cache beside it.
class Scratch {
 public:
  Scratch() {
    char path[] = "/tmp/clawrun-cache-test-XXXXXX";
    REQUIRE(mkdtemp(path) != nullptr);
    dir_ = path;
    write_file(profile(), kJson);
  }
  ~Scratch() { fs::remove_all(dir_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  [[nodiscard]] std::string profile() const { return dir_ + "/profile.json"; }
  [[nodiscard]] std::string cache() const { return dir_ + "/clawrun/seccomp"; }
  [[nodiscard]] std::string cached() const { return cache() + "/" + to_hex(cache_key(kJson, native_target())) + ".bpf"; }
  [[nodiscard]] Result<Compiled> load() const { return seccomp::load(profile(), {.cache_base = dir_}); }
  // A well-formed file under the right name whose filter allows everything: what an attacker would plant.
  [[nodiscard]] std::string planted() const {
    Compiled evil;
    evil.filters = {{{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}}};
    return encode(evil, cache_key(kJson, native_target()));
  }

 private:
  std::string dir_;
};

bool refuses_getpid(const Result<Compiled>& compiled) {
  if (!compiled) return false;
  seccomp_data data{};
  data.nr = syscall_number(kNativeArch, "getpid").number;
  data.arch = audit_arch(kNativeArch);
  return decide(*compiled, data).value_or(0) == (SECCOMP_RET_ERRNO | 7U);
}

}  // namespace

TEST_CASE("a file is compiled once, then read from the cache with everything it said") {
  const Scratch scratch;
  const auto first = scratch.load();
  CHECK(refuses_getpid(first));
  struct stat status {};
  REQUIRE(stat(scratch.cached().c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  const auto before = status.st_ino;
  const auto second = scratch.load();
  CHECK(refuses_getpid(second));
  REQUIRE(stat(scratch.cached().c_str(), &status) == 0);
  CHECK(status.st_ino == before);
  CHECK(second->flags == SECCOMP_FILTER_FLAG_LOG);
  CHECK(second->unknown_syscalls == std::vector<std::string>{"no_such_call"});
  CHECK(second->name == scratch.profile());
  CHECK(std::distance(fs::directory_iterator(scratch.cache()), {}) == 1);
  // The cache is really what answers: a planted file of our own, under the right name, is believed.
  write_file(scratch.cached(), scratch.planted());
  CHECK_FALSE(refuses_getpid(scratch.load()));
}

TEST_CASE("any damaged byte and any other length makes the cache compile again") {
  const Scratch scratch;
  REQUIRE(scratch.load());
  const std::string good = read_file(scratch.cached());
  const Hash key = cache_key(kJson, native_target());
  REQUIRE(decode(good, key));
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    CHECK_FALSE(decode(bad, key));
    CHECK_FALSE(decode(good.substr(0, i), key));
  }
  CHECK_FALSE(decode(good + "x", key));
  Hash other = key;
  other[0] ^= 1U;
  CHECK_FALSE(decode(good, other));
  write_file(scratch.cached(), good.substr(0, good.size() / 2));
  CHECK(refuses_getpid(scratch.load()));
  CHECK(read_file(scratch.cached()) == good);
}

TEST_CASE("a cache that others can write to is never used") {
  SUBCASE("the file") {
    const Scratch scratch;
    REQUIRE(scratch.load());
    for (const mode_t mode : {0620U, 0602U}) {
      write_file(scratch.cached(), scratch.planted());
      chmod(scratch.cached().c_str(), mode);
      CHECK(refuses_getpid(scratch.load()));
    }
  }
  SUBCASE("the directory") {
    const Scratch scratch;
    REQUIRE(scratch.load());
    write_file(scratch.cached(), scratch.planted());
    chmod(scratch.cache().c_str(), 0770);
    CHECK(refuses_getpid(scratch.load()));
    chmod(scratch.cache().c_str(), 0700);
    chmod(fs::path(scratch.cache()).parent_path().c_str(), 0707);
    CHECK(refuses_getpid(scratch.load()));
  }
  SUBCASE("owned by another") {
    if (geteuid() != 0) return;  // only root can make a foreign file
    const Scratch scratch;
    REQUIRE(scratch.load());
    write_file(scratch.cached(), scratch.planted());
    REQUIRE(chown(scratch.cached().c_str(), 12345, 12345) == 0);
    CHECK(refuses_getpid(scratch.load()));
    write_file(scratch.cached(), scratch.planted());
    REQUIRE(chown(scratch.cache().c_str(), 12345, 12345) == 0);
    CHECK(refuses_getpid(scratch.load()));
  }
}

TEST_CASE("symlinks, hard links and FIFOs in the cache are never followed") {
  const Scratch scratch;
  REQUIRE(scratch.load());
  const std::string aside = scratch.cache() + "/aside";
  write_file(aside, scratch.planted());
  fs::remove(scratch.cached());
  REQUIRE(symlink(aside.c_str(), scratch.cached().c_str()) == 0);
  CHECK(refuses_getpid(scratch.load()));
  CHECK_FALSE(fs::is_symlink(scratch.cached()));  // replaced by a file of our own
  CHECK(read_file(aside) == scratch.planted());
  fs::remove(scratch.cached());
  REQUIRE(link(aside.c_str(), scratch.cached().c_str()) == 0);
  CHECK(refuses_getpid(scratch.load()));
  fs::remove(scratch.cached());
  REQUIRE(mkfifo(scratch.cached().c_str(), 0600) == 0);
  CHECK(refuses_getpid(scratch.load()));
  const std::string moved = scratch.cache() + "-moved";
  write_file(scratch.cached(), scratch.planted());
  fs::rename(scratch.cache(), moved);
  REQUIRE(symlink(moved.c_str(), scratch.cache().c_str()) == 0);
  CHECK(refuses_getpid(scratch.load()));
}

TEST_CASE("another profile, architecture or kernel is another key") {
  const Target target{Arch::kX86_64, 6, 1};
  const Hash key = cache_key(kJson, target);
  CHECK(key == cache_key(kJson, target));
  CHECK(key != cache_key(std::string(kJson) + " ", target));
  CHECK(key != cache_key(kJson, {Arch::kAarch64, 6, 1}));
  CHECK(key != cache_key(kJson, {Arch::kX86_64, 6, 2}));
}

TEST_CASE("names and files") {
  const auto wrong = load("defualt");
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().kind == ErrorKind::kUsage);
  CHECK(wrong.error().message.find("did you mean \"default\"?") != std::string::npos);
  CHECK_FALSE(load("/dev/null"));
  CHECK_FALSE(load("no-such-file.json"));
  for (const char* name : {"default", "strict", "network", "docker-compatible"}) CHECK(load(name));
}

}  // namespace clawrun::seccomp
