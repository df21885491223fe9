#include "state/state.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "state/directory.h"
#include "state/draft.h"
#include "state/process.h"
#include "state/record.h"
#include "state/store.h"

namespace clawrun::state {

namespace {

const auto kUid = static_cast<std::uint32_t>(::geteuid());

class TestDirectory {
 public:
  TestDirectory() {
    char name[] = "/tmp/clawrun-state-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TestDirectory() {
    const std::string command = "rm -rf '" + path_ + "'";
    CHECK(::system(command.c_str()) == 0);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string at(std::string_view name) const { return path_ + "/" + std::string(name); }
  [[nodiscard]] Store store() const { return {UniqueFd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), path_, kUid}; }
  [[nodiscard]] Result<Entry> create(const Record& record) const { return store().create(record); }
  void file(std::string_view name, std::string_view text, mode_t mode = 0600) const {
    const UniqueFd fd(::open(at(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    REQUIRE(::fchmod(fd.get(), mode) == 0);
  }
  [[nodiscard]] bool has(std::string_view name) const {
    struct stat status {};
    return ::lstat(at(name).c_str(), &status) == 0;
  }
  [[nodiscard]] std::string text(std::string_view name) const {
    char buffer[kMaxRecordBytes];
    const UniqueFd fd(::open(at(name).c_str(), O_RDONLY | O_CLOEXEC));
    const ssize_t size = ::read(fd.get(), buffer, sizeof buffer);
    return {buffer, size < 0 ? 0 : static_cast<std::size_t>(size)};
  }

 private:
  std::string path_;
};

Process own() {
  const auto process = identify(::getpid());
  REQUIRE(process);
  return *process;
}

Record sample(const std::string& id) {
  Record record;
  record.id = id;
  record.supervisor = own();
  record.owner = kUid;
  record.created_ms = 1'700'000'000'000;
  record.command = {"sh", "-c", "sleep 9"};
  record.rootfs = "alpine";
  return record;
}

// The words of a process that was and is no more.
Process ended_process() {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  ::waitpid(pid, nullptr, 0);
  return {pid, 1};
}

std::vector<std::string> ids(const Listing& listing) {
  std::vector<std::string> all;
  for (const Record& record : listing.records) all.push_back(record.id);
  return all;
}

bool mentions(const Error& error, std::string_view text) {
  return error.message.find(text) != std::string::npos;
}

bool mentioned(const std::vector<std::string>& problems, std::string_view text) {
  return std::ranges::any_of(problems, [&](const std::string& one) { return one.find(text) != std::string::npos; });
}

std::string replaced(std::string text, std::string_view old, std::string_view by) {
  const std::size_t at = text.find(old);
  REQUIRE(at != std::string::npos);
  return text.replace(at, old.size(), by);
}

}  // namespace

TEST_CASE("the start time stands behind the last parenthesis, whatever the name holds") {
  const std::string tail = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n";
  for (const char* name : {"sh", "a b", "a) R 1 2", ") ) )", "\n", ""}) {
    const auto stat = parse_stat("17 (" + std::string(name) + ")" + tail);
    REQUIRE(stat);
    CHECK(stat->condition == 'S');
    CHECK(stat->start_ticks == 4711);
    CHECK(stat->user_ticks == 11 + 13);
    CHECK(stat->system_ticks == 12 + 14);
  }
  for (const char* bad :
       {"", "17", "17 (sh", "17 (sh) ", "17 (sh) S 1 2 3", "17 (sh) SS 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
        "17 (sh) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 -19 20"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_stat(bad));
  }
}

TEST_CASE("a process is itself, its pid at another time is not, a zombie is gone") {
  const Process self = own();
  CHECK(is_alive(self));
  CHECK_FALSE(is_alive({self.pid, self.start_ticks + 1}));
  CHECK_FALSE(is_alive({0, 0}));
  CHECK_FALSE(is_alive({-1, self.start_ticks}));
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const auto identity = identify(child);
  REQUIRE(identity);
  CHECK(is_alive(*identity));
  ::kill(child, SIGKILL);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  CHECK_FALSE(is_alive(*identity));
  ::waitpid(child, nullptr, 0);
  CHECK_FALSE(is_alive(*identity));
  REQUIRE_FALSE(identify(child));
  CHECK(identify(child).error().kind == ErrorKind::kNotFound);
}

TEST_CASE("ids are plain names of files") {
  for (const char* good : {"a", "A", "0", "a-b_c.d", "0123456789ab"}) CHECK(check_id(good));
  CHECK(check_id(std::string(64, 'a')));
  for (const char* bad : {"", ".", "..", ".a", "-a", "_a", "a/b", "a b", "a\n", "\xc3\xa4", "../a"}) {
    CAPTURE(bad);
    CHECK_FALSE(check_id(bad));
  }
  CHECK_FALSE(check_id(std::string(65, 'a')));
  CHECK_FALSE(check_id(std::string("a\0b", 3)));
}

TEST_CASE("a record is read as it was written") {
  Record record = sample("a1");
  record.first = {77, 99};
  record.location.driver = cgroup::Driver::kSystemd;
  record.location.v2 = {{"cpu", "memory"}, "/sys/fs/cgroup/x/clawrun-a1.scope"};
  record.location.v1 = {{{"pids"}, "/sys/fs/cgroup/pids/clawrun-a1"}};
  record.location.unit = "clawrun-a1.scope";
  record.location.user_manager = true;
  record.command = {"printf", "\"\\\n\x01", "", "\xc3\xa4"};
  const auto text = to_text(record);
  REQUIRE(text);
  const auto back = parse_record(*text);
  REQUIRE(back);
  CHECK(back->id == "a1");
  CHECK(back->supervisor.pid == record.supervisor.pid);
  CHECK(back->supervisor.start_ticks == record.supervisor.start_ticks);
  CHECK(back->first.pid == 77);
  CHECK(back->first.start_ticks == 99);
  CHECK(back->created_ms == record.created_ms);
  CHECK(back->command == record.command);
  CHECK(back->rootfs == "alpine");
  CHECK(back->location.driver == cgroup::Driver::kSystemd);
  CHECK(back->location.v2.path == record.location.v2.path);
  CHECK(back->location.v2.controllers == record.location.v2.controllers);
  REQUIRE(back->location.v1.size() == 1);
  CHECK(back->location.v1[0].path == record.location.v1[0].path);
  CHECK(back->location.unit == record.location.unit);
  CHECK(back->location.user_manager);
}

TEST_CASE("a long command is cut, and bytes that are no text become marks") {
  Record record = sample("a");
  record.command = {"sh", std::string(1 << 20U, 'x'), "y"};
  auto back = parse_record(to_text(record).value());
  REQUIRE(back);
  REQUIRE(back->command.size() == 3);
  CHECK(back->command[1].size() < kLongestCommandBytes);
  CHECK(back->command[2] == "...");
  record.command.assign(1 << 16U, "");
  back = parse_record(to_text(record).value());
  REQUIRE(back);
  CHECK(back->command.size() <= kLongestCommandBytes + 2);
  CHECK(back->command.back() == "...");
  record.command = {"\xff\xfe"};
  back = parse_record(to_text(record).value());
  REQUIRE(back);
  CHECK(back->command[0] == "\xef\xbf\xbd\xef\xbf\xbd");
  // The worst that cutting leaves still fits.
  record.command = {std::string(1 << 20U, '\x01')};
  CHECK(to_text(record));
}

TEST_CASE("a cgroup that could not be named again, or is not the sandbox's, is not recorded") {
  Record record = sample("a1");
  for (const char* path : {"/sys/fs/cgroup/\xff-a1", "/sys/fs/cgroup", "/sys/fs/cgroup/a1/..", "/sys/fs/cgroup/a1/",
                           "sys/fs/cgroup/a1", "/sys//cgroup/a1", "/sys/fs/cgroup/system.slice", "/a1"}) {
    CAPTURE(path);
    record.location.v2.path = path;
    CHECK_FALSE(to_text(record));
    record.location.v2.path.clear();
    record.location.v1 = {{{}, path}};
    CHECK_FALSE(to_text(record));
    record.location.v1.clear();
  }
  record.location.v1 = {{{}, ""}};
  CHECK_FALSE(to_text(record));
  record.location.v1.clear();
  record.location.v2.path = "/sys/fs/cgroup/x.scope";
  CHECK_FALSE(to_text(record));
  record.location.unit = "x.scope";
  CHECK(to_text(record));
}

TEST_CASE("a record that grows and shrinks keeps its room") {
  const Record record = sample("a1");
  const std::size_t size = to_text(record).value().size();
  const std::string padded = to_text(record, size + 100).value();
  CHECK(padded.size() == size + 100);
  CHECK(padded.ends_with(" \n"));
  CHECK(parse_record(padded)->id == "a1");
  CHECK(to_text(record, size - 1).value().size() == size);
}

TEST_CASE("nothing but a record is read as one") {
  const std::string good = to_text(sample("a1")).value();
  CHECK(parse_record(good));
  const std::string bad[] = {
      "",
      "\n",
      "{}",
      "[]",
      "null",
      "{",
      " " + good,
      good + "x",
      replaced(good, "\"a1\"", "\"a2\""),  // the checksum
      good + good,
      good.substr(0, good.size() / 2),
      std::string(60'000, '['),
      std::string("\xff\xfe\0", 3),
      replaced(good, "\"clawrun_sandbox\":1", "\"clawrun_sandbox\":2"),
      replaced(good, "\"clawrun_sandbox\":1", "\"clawrun_sandbox\":true"),
      replaced(good, "\"a1\"", "\"../a1\""),
      replaced(good, "\"a1\"", "17"),
      replaced(good, "\"pid\":", "\"pid\":-"),
      replaced(good, "\"pid\":", "\"pid\":99999999999"),
      replaced(good, "\"pid\":", "\"pid\":1.5,\"pid\":"),
      replaced(good, "\"pid\":", "\"pid\":1,\"pid\":"),
      replaced(good, "\"pid\":", "\"PID\":"),
      replaced(good, "\"owner\":", "\"other\":1,\"owner\":"),
      replaced(good, "\"driver\":\"cgroupfs\"", "\"driver\":\"other\""),
      replaced(good, "\"path\":\"\"", "\"path\":\"/sys/fs/cgroup\""),
      replaced(good, "\"path\":\"\"", "\"path\":\"/sys/fs/cgroup/x/../a1\""),
      replaced(good, "\"v1\":[]", "\"v1\":[[]]"),
      replaced(good, "\"command\":[", "\"command\":[1,"),
      replaced(good, "\"alpine\"", "null"),
      std::string(kMaxRecordBytes + 1, ' '),
  };
  for (const std::string& text : bad) {
    CAPTURE(text.substr(0, 400));
    CHECK_FALSE(parse_record(text));
  }
}

TEST_CASE("a record in which any one byte is another is none") {
  const std::string good = to_text(sample("a1")).value();
  for (std::size_t i = 0; i + 1 < good.size(); ++i) {
    for (const int change : {1, 4, 0x20, 0x80}) {
      std::string text = good;
      text[i] = static_cast<char>(text[i] ^ change);
      CAPTURE(text);
      CHECK_FALSE(parse_record(text));
    }
    CHECK_FALSE(parse_record(good.substr(0, i)));
  }
}

TEST_CASE("the first usable place counts") {
  CHECK(places(0, nullptr).front().base == "/run");
  CHECK(places(5, nullptr).front().base == "/run/user/5");
  CHECK(places(5, "/x").front().base == "/x");
  CHECK(places(5, "x").front().base == "/run/user/5");
  CHECK(places(5, "").front().base == "/run/user/5");
  CHECK(places(5, "/x").back().name == "clawrun-5");

  const TestDirectory test;
  for (const char* name : {"open", "good", "open/own"}) REQUIRE(::mkdir(test.at(name).c_str(), 0700) == 0);
  REQUIRE(::chmod(test.at("open").c_str(), 0777) == 0);
  REQUIRE(::symlink("good", test.at("link").c_str()) == 0);
  test.file("file", "");
  const std::vector<Place> all = {{test.at("none"), "c"}, {test.at("file"), "c"}, {test.at("link"), "c"},
                                  {test.at("open"), "c"}, {test.at("good"), "c"}, {test.at("open/own"), "c"}};
  auto found = open_directory(all, kUid, Missing::kLeave);
  REQUIRE(found);
  CHECK_FALSE(found->fd.valid());
  CHECK_FALSE(test.has("good/c"));
  const mode_t umask = ::umask(0777);
  found = open_directory(all, kUid, Missing::kMake);
  ::umask(umask);
  REQUIRE(found);
  CHECK(found->fd.valid());
  CHECK(found->path == test.at("good/c/sandboxes"));
  struct stat status {};
  CHECK(::stat(test.at("good/c/sandboxes").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777U) == 0700);
  CHECK(open_directory(all, kUid, Missing::kLeave)->fd.valid());
  // A base that is nobody's own serves where what is below it is.
  const std::vector<Place> shared = {{test.at("open"), "c-1", false}};
  CHECK(open_directory(shared, kUid, Missing::kMake)->fd.valid());
  // For somebody else there is none.
  CHECK_FALSE(open_directory({{test.at("good"), "c"}}, kUid + 1, Missing::kMake));
}

TEST_CASE("a directory that others could write to, or a link in its place, is refused with the remedy") {
  const TestDirectory test;
  const std::vector<Place> place = {{test.path(), "c"}};
  REQUIRE(::mkdir(test.at("c").c_str(), 0700) == 0);
  REQUIRE(::mkdir(test.at("elsewhere").c_str(), 0700) == 0);
  REQUIRE(::symlink("../elsewhere", test.at("c/sandboxes").c_str()) == 0);
  for (const Missing missing : {Missing::kLeave, Missing::kMake}) CHECK_FALSE(open_directory(place, kUid, missing));
  REQUIRE(::unlink(test.at("c/sandboxes").c_str()) == 0);
  test.file("c/sandboxes", "");
  CHECK_FALSE(open_directory(place, kUid, Missing::kMake));
  REQUIRE(::unlink(test.at("c/sandboxes").c_str()) == 0);
  REQUIRE(::mkdir(test.at("c/sandboxes").c_str(), 0700) == 0);
  CHECK(open_directory(place, kUid, Missing::kMake));
  REQUIRE(::chmod(test.at("c/sandboxes").c_str(), 0720) == 0);
  auto refused = open_directory(place, kUid, Missing::kMake);
  REQUIRE_FALSE(refused);
  CHECK(mentions(refused.error(), "chmod 700"));
  REQUIRE(::chmod(test.at("c/sandboxes").c_str(), 0700) == 0);
  REQUIRE(::chmod(test.at("c").c_str(), 0702) == 0);
  CHECK_FALSE(open_directory(place, kUid, Missing::kLeave));
}

TEST_CASE("an entry is there while it lives") {
  const TestDirectory test;
  {
    auto entry = test.create(sample("a"));
    REQUIRE(entry);
    CHECK(test.has("a"));
    CHECK(ids(test.store().list().value()) == std::vector<std::string>{"a"});
    Record changed = sample("a");
    changed.first = {41, 42};
    CHECK(entry->update(changed));
    CHECK(test.store().find("a")->first.pid == 41);
    CHECK_FALSE(entry->update(sample("b")));
    Entry moved = std::move(*entry);
    entry->remove();
    CHECK(test.has("a"));
    moved.remove();
    CHECK_FALSE(test.has("a"));
    moved.remove();
    CHECK_FALSE(moved.update(sample("a")));
  }
  const auto left = test.store().list();
  CHECK(left->records.empty());
  CHECK(left->problems.empty());
}

TEST_CASE("an entry that is left is swept, though the process that left it lives") {
  const TestDirectory test;
  auto entry = test.create(sample("a"));
  REQUIRE(entry);
  CHECK(test.store().sweep(SIZE_MAX).ids.empty());
  entry->leave();
  CHECK(test.has("a"));
  CHECK(test.store().list()->records.empty());
  CHECK(test.store().sweep(SIZE_MAX).ids == std::vector<std::string>{"a"});
  entry->leave();
}

TEST_CASE("a record that was removed from outside is not missed, and another's is not touched") {
  const TestDirectory test;
  auto first = test.create(sample("a"));
  REQUIRE(first);
  REQUIRE(::unlink(test.at("a").c_str()) == 0);
  auto second = test.create(sample("a"));
  REQUIRE(second);
  first->remove();
  CHECK(test.has("a"));
}

TEST_CASE("a taken name is an error that names its holder; a dead one's is free") {
  const TestDirectory test;
  const auto entry = test.create(sample("a"));
  const auto again = test.create(sample("a"));
  REQUIRE_FALSE(again);
  CHECK(again.error().kind == ErrorKind::kInvalid);
  CHECK(mentions(again.error(), "\"a\" is taken"));
  CHECK(mentions(again.error(), "pid " + std::to_string(::getpid())));
  CHECK(mentions(again.error(), "since 2023-11-14 22:13:20 UTC"));
  CHECK(mentions(again.error(), "--name"));
  Record dead = sample("b");
  dead.supervisor = ended_process();
  test.file("b", to_text(dead).value());
  CHECK(test.create(sample("b")));
  test.file("c", "no record");
  const auto broken = test.create(sample("c"));
  REQUIRE_FALSE(broken);
  CHECK(mentions(broken.error(), test.at("c")));
  CHECK_FALSE(test.create(sample("../x")));
}

TEST_CASE("a name that is being swept is waited for") {
  const TestDirectory test;
  Record dead = sample("a");
  dead.supervisor = ended_process();
  test.file("a", to_text(dead).value());
  UniqueFd sweeper(::open(test.at("a").c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(::flock(sweeper.get(), LOCK_EX) == 0);
  CHECK(test.store().sweep(SIZE_MAX).ids.empty());
  CHECK(ids(test.store().list().value()) == std::vector<std::string>{"a"});
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::unlink(test.at("a").c_str());
    sweeper.reset();
  });
  CHECK(test.create(sample("a")));
  other.join();
}

TEST_CASE("sandboxes are found by a beginning that only one has") {
  const TestDirectory test;
  const auto one = test.create(sample("build-1"));
  const auto two = test.create(sample("build-12"));
  const auto three = test.create(sample("tests"));
  const Store store = test.store();
  CHECK(store.find("build-1")->id == "build-1");
  CHECK(store.find("t")->id == "tests");
  const auto several = store.find("bu");
  REQUIRE_FALSE(several);
  CHECK(mentions(several.error(), "build-1, build-12"));
  const auto typo = store.find("tesst");
  REQUIRE_FALSE(typo);
  CHECK(typo.error().kind == ErrorKind::kNotFound);
  CHECK(mentions(typo.error(), "did you mean \"tests\"?"));
  CHECK(mentions(typo.error(), "clawrun list"));
  for (const char* none : {"", "x/../a", "zzzzzzz", "\x1b[2J"}) CHECK_FALSE(store.find(none));
  CHECK_FALSE(mentions(store.find("\x1b[2J").error(), "\x1b"));
}

TEST_CASE("sweeping takes what is stale and nothing else") {
  const TestDirectory test;
  const auto alive = test.create(sample("alive"));
  Record dead = sample("dead");
  dead.supervisor = ended_process();
  test.file("dead", to_text(dead).value());
  // Locked, its supervisor in another pid namespace, say.
  dead.id = "locked";
  test.file("locked", to_text(dead).value());
  const UniqueFd holder(::open(test.at("locked").c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(::flock(holder.get(), LOCK_EX) == 0);
  CHECK(ids(test.store().list().value()) == std::vector<std::string>{"alive", "locked"});
  const Swept swept = test.store().sweep(SIZE_MAX);
  CHECK(swept.ids == std::vector<std::string>{"dead"});
  CHECK(swept.problems.empty());
  CHECK(test.has("alive"));
  CHECK(test.has("locked"));
  CHECK_FALSE(test.has("dead"));
  CHECK(test.store().sweep(SIZE_MAX).ids.empty());
}

TEST_CASE("the first process of a dead supervisor's sandbox is ended, another one of its number is not") {
  const TestDirectory test;
  for (const std::uint64_t shift : {std::uint64_t{1}, std::uint64_t{0}}) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
    Record dead = sample("dead");
    dead.supervisor = ended_process();
    dead.first = identify(child).value();
    dead.first.start_ticks += shift;
    test.file("dead", to_text(dead).value());
    CHECK(test.store().sweep(SIZE_MAX).ids.size() == 1);
    int status = 0;
    CHECK(::waitpid(child, &status, WNOHANG) == (shift == 0 ? child : 0));
    if (shift == 0) CHECK(WTERMSIG(status) == SIGKILL);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
}

TEST_CASE("what is no record is a problem in words, and stays") {
  const TestDirectory test;
  Record dead = sample("other");
  dead.supervisor = ended_process();
  const std::string text = to_text(dead).value();
  test.file("broken", "{\"id\":");
  test.file("empty", "");
  test.file("huge", std::string(kMaxRecordBytes + 1, ' '));
  test.file("shared", replaced(text, "\"other\"", "\"shared\""), 0622);
  test.file("renamed", text);
  test.file("Bad Name\n", text);
  REQUIRE(::symlink("/etc/passwd", test.at("link").c_str()) == 0);
  REQUIRE(::mkfifo(test.at("fifo").c_str(), 0600) == 0);
  REQUIRE(::mkdir(test.at("directory").c_str(), 0700) == 0);
  const Listing listing = test.store().list().value();
  const Swept swept = test.store().sweep(SIZE_MAX);
  CHECK(listing.records.empty());
  CHECK(swept.ids.empty());
  for (const auto& problems : {listing.problems, swept.problems}) {
    CHECK(problems.size() == 9);
    for (const char* name : {"broken", "empty", "huge", "shared", "renamed", "Bad Name", "link", "fifo", "directory"}) {
      CAPTURE(name);
      CHECK(mentioned(problems, test.at(name)));
      CHECK(test.has(name == std::string_view("Bad Name") ? "Bad Name\n" : name));
    }
    for (const std::string& problem : problems) CHECK(problem.find('\n') == std::string::npos);
  }
  if (kUid == 0) {
    test.file("foreign", replaced(text, "\"other\"", "\"foreign\""));
    REQUIRE(::chown(test.at("foreign").c_str(), 4711, 4711) == 0);
    CHECK(mentioned(test.store().sweep(SIZE_MAX).problems, "belongs to uid 4711"));
    CHECK(test.has("foreign"));
  }
}

TEST_CASE("a directory that is not there is an empty one") {
  const Store none({}, "/nowhere", kUid);
  CHECK(none.list()->records.empty());
  CHECK(none.sweep(SIZE_MAX).problems.empty());
  CHECK(none.find("a").error().kind == ErrorKind::kNotFound);
}

TEST_CASE("a bounded sweep comes to all of them in time") {
  const TestDirectory test;
  constexpr std::size_t kCount = 40;
  Record dead = sample("a");
  dead.supervisor = ended_process();
  for (std::size_t i = 0; i < kCount; ++i) {
    dead.id = "dead-" + std::to_string(i);
    test.file(dead.id, to_text(dead).value());
  }
  CHECK(test.store().sweep(8).ids.size() == 8);
  std::size_t swept = 8;
  for (int i = 0; i < 1000 && swept < kCount; ++i) swept += test.store().sweep(8).ids.size();
  CHECK(swept == kCount);
}

TEST_CASE("a named draft does as well, and one that was left is cleared away") {
  const TestDirectory test;
  const UniqueFd directory(::open(test.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  {
    auto draft = Draft::write(directory.get(), "one", DraftKind::kNamed);
    REQUIRE(draft);
    CHECK(draft->publish("a") == 0);
    auto taken = Draft::write(directory.get(), "two", DraftKind::kNamed);
    REQUIRE(taken);
    CHECK(taken->publish("a") == EEXIST);
    CHECK(test.text("a") == "one");
    auto dropped = Draft::write(directory.get(), "three", DraftKind::kNamed);
    REQUIRE(dropped);
    auto unnamed = Draft::write(directory.get(), "four", DraftKind::kUnnamed);
    REQUIRE(unnamed);
    CHECK(unnamed->publish("a") == EEXIST);
    CHECK(unnamed->publish("b") == 0);
    CHECK(test.text("b") == "four");
  }
  REQUIRE(::unlink(test.at("a").c_str()) == 0);
  REQUIRE(::unlink(test.at("b").c_str()) == 0);
  test.file(".young", "");
  (void)test.store().sweep(SIZE_MAX);
  CHECK(test.has(".young"));
  CHECK(test.store().list()->problems.empty());
  REQUIRE(::unlink(test.at(".young").c_str()) == 0);
  CHECK(::rmdir(test.path().c_str()) == 0);  // nothing else was left
  REQUIRE(::mkdir(test.path().c_str(), 0700) == 0);
}

TEST_CASE("many threads that create, change, list, sweep and remove never see half a record") {
  const TestDirectory test;
  std::atomic<int> wrong = 0;
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      Record record = sample("s" + std::to_string(t));
      for (int i = 0; i < 200; ++i) {
        auto entry = test.create(record);
        if (!entry) ++wrong;
        if (!entry) continue;
        record.command.assign(static_cast<std::size_t>(i % 7) * 30, "argument");
        if (!entry->update(record)) ++wrong;
      }
    });
  }
  std::thread reader([&] {
    while (!stop) {
      const auto listing = test.store().list();
      if (!listing || !listing->problems.empty()) ++wrong;
      const Swept swept = test.store().sweep(SIZE_MAX);
      if (!swept.problems.empty() || !swept.ids.empty()) ++wrong;
    }
  });
  for (std::thread& thread : threads) thread.join();
  stop = true;
  reader.join();
  CHECK(wrong == 0);
  CHECK(test.store().list()->records.empty());
}

TEST_CASE("of many sweeps at once each record is swept by one") {
  const TestDirectory test;
  Record dead = sample("a");
  dead.supervisor = ended_process();
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 10; ++i) {
      dead.id = "dead-" + std::to_string(i);
      test.file(dead.id, to_text(dead).value());
    }
    std::atomic<std::size_t> swept = 0;
    std::atomic<std::size_t> problems = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        const Swept one = test.store().sweep(SIZE_MAX);
        swept += one.ids.size();
        problems += one.problems.size();
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(swept == 10);
    CHECK(problems == 0);
  }
}

}  // namespace clawrun::state
