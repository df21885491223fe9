#include "rootfs/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <cstdlib>

namespace clawrun::rootfs {

namespace {

// A store of its own for each test, removed by the test's own means where the code under test did not.
class TestStore {
 public:
  TestStore() {
    char name[] = "/tmp/clawrun-store-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TestStore() {
    const std::string command = "chmod -R u+rwx '" + path_ + "' 2>/dev/null; rm -rf '" + path_ + "'";
    CHECK(::system(command.c_str()) == 0);
  }
  TestStore(const TestStore&) = delete;
  TestStore& operator=(const TestStore&) = delete;

  [[nodiscard]] std::string at(std::string_view name) const { return path_ + "/" + std::string(name); }
  [[nodiscard]] const std::string& path() const { return path_; }
  void directory(std::string_view name) const { REQUIRE(::mkdir(at(name).c_str(), 0755) == 0); }
  void link(const char* target, std::string_view name) const { REQUIRE(::symlink(target, at(name).c_str()) == 0); }
  void file(std::string_view name, std::string_view text) const {
    const int fd = ::open(at(name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    CHECK(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    ::close(fd);
  }
  [[nodiscard]] bool has(std::string_view name) const {
    struct stat status = {};
    return ::lstat(at(name).c_str(), &status) == 0;
  }

 private:
  std::string path_;
};

bool mentions(const Error& error, std::string_view text) {
  return error.message.find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("names of roots are plain") {
  for (const char* good : {"alpine", "a", "3", "debian-12", "a.b_c-d"}) {
    CAPTURE(good);
    CHECK(is_name(good));
  }
  for (const char* bad : {"", ".", "..", ".tmp-1-2-x", "-x", "_x", "A", "a/b", "a b", "a\n", "x.meta", "a\xc3\xa9"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_name(bad));
  }
  CHECK(is_name(std::string(64, 'a')));
  CHECK_FALSE(is_name(std::string(65, 'a')));
}

TEST_CASE("find takes the first store that has the name") {
  const TestStore first;
  const TestStore second;
  second.directory("alpine");
  const Stores stores = {first.path(), second.path(), "/nonexistent/store"};
  CHECK(*find("alpine", stores) == second.at("alpine"));
  first.directory("alpine");
  CHECK(*find("alpine", stores) == first.at("alpine"));
}

TEST_CASE("find follows one link within the store and nothing else") {
  const TestStore store;
  store.directory("alpine");
  store.link("alpine", "default");
  store.link("default", "chain");
  store.link("/etc", "outside");
  store.link("../etc", "above");
  store.link("loop", "loop");
  store.link("gone", "dangling");
  store.file("plain", "x");
  const Stores stores = {store.path()};
  CHECK(*find("default", stores) == store.at("alpine"));
  CHECK(**find_default(stores) == store.at("alpine"));
  for (const char* bad : {"chain", "outside", "above", "loop", "dangling", "plain"}) {
    CAPTURE(bad);
    CHECK_FALSE(find(bad, stores));
  }
}

TEST_CASE("an unknown name is answered with the nearest and the script") {
  const TestStore store;
  store.directory("my-tools");
  const Stores stores = {store.path()};
  CHECK(mentions(find("my-tool", stores).error(), "did you mean \"my-tools\"?"));
  CHECK(mentions(find("alpin", stores).error(), "rootfs-scripts/alpine makes \"alpine\""));
  CHECK(mentions(find("busybox", stores).error(), "rootfs-scripts/busybox makes it"));
  CHECK(mentions(find("zzz", stores).error(), "rootfs-scripts/busybox --name zzz"));
  CHECK(mentions(find("../etc", stores).error(), "is a path"));
  CHECK(find("zzz", stores).error().kind == ErrorKind::kInvalid);
  CHECK_FALSE(find_default(stores)->has_value());
}

TEST_CASE("a root that others can change is refused, also as the default") {
  const TestStore store;
  store.directory("default");
  REQUIRE(::chmod(store.at("default").c_str(), 0777) == 0);
  const Stores stores = {store.path()};
  CHECK(mentions(find("default", stores).error(), "chmod o-w"));
  CHECK_FALSE(find_default(stores));
  if (::geteuid() == 0) {
    REQUIRE(::chmod(store.at("default").c_str(), 0755) == 0);
    REQUIRE(::chown(store.at("default").c_str(), 65533, 65533) == 0);
    CHECK(mentions(find("default", stores).error(), "belongs to uid 65533"));
  }
}

TEST_CASE("list reads the metadata and leaves the rest of a store out") {
  const TestStore first;
  const TestStore second;
  first.directory("b");
  first.directory(".tmp-1-2-x");
  first.file("b.meta", "script=busybox\nversion=1=2\nnonsense\nsize_kib=12\n");
  second.directory("b");
  second.directory("a");
  second.link("a", "default");
  const auto roots = list({first.path(), second.path(), "/nonexistent/store"});
  REQUIRE(roots);
  REQUIRE(roots->size() == 3);
  CHECK((*roots)[0].name == "a");
  CHECK((*roots)[1].path == first.at("b"));
  CHECK((*roots)[1].value("version") == "1=2");
  CHECK((*roots)[1].value("missing").empty());
  CHECK((*roots)[2].link_name == "a");
  CHECK((*roots)[2].path == second.at("a"));
}

TEST_CASE("remove takes a whole tree and follows no link out of it") {
  const TestStore store;
  const TestStore outside;
  outside.file("kept", "x");
  store.directory("root");
  store.file("root.meta", "script=x\n");
  store.directory("root/closed");
  store.file("root/closed/file", "x");
  store.link(outside.path().c_str(), "root/closed/link");
  store.link("/", "root/slash");
  REQUIRE(::chmod(store.at("root/closed").c_str(), 0) == 0);
  store.directory(".rm-1-earlier");
  store.file(".rm-1-earlier/left", "x");
  store.directory("other");
  CHECK(remove("root", {store.path()}));
  CHECK_FALSE(store.has("root"));
  CHECK_FALSE(store.has("root.meta"));
  CHECK_FALSE(store.has(".rm-1-earlier"));
  CHECK(store.has("other"));
  CHECK(outside.has("kept"));
  CHECK_FALSE(remove("root", {store.path()}));
  CHECK_FALSE(remove("../other", {store.path()}));
}

TEST_CASE("remove gets through a tree deeper than descriptors and stack would allow") {
  const TestStore store;
  store.directory("deep");
  int fd = ::open(store.at("deep").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  // Its own names look like those that removal uses.
  const char* const kName = "deep-0";
  REQUIRE(::mkdirat(fd, "deep-1", 0755) == 0);
  for (int i = 0; i < 300; ++i) {
    REQUIRE(::mkdirat(fd, kName, 0755) == 0);
    const int next = ::openat(fd, kName, O_PATH | O_DIRECTORY | O_CLOEXEC);
    ::close(fd);
    fd = next;
  }
  ::close(fd);
  CHECK(remove("deep", {store.path()}));
  CHECK_FALSE(store.has("deep"));
}

TEST_CASE("remove of a link removes the name only") {
  const TestStore store;
  store.directory("alpine");
  store.link("alpine", "default");
  CHECK(remove("default", {store.path()}));
  CHECK_FALSE(store.has("default"));
  CHECK(store.has("alpine"));
}

}  // namespace clawrun::rootfs
