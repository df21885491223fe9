#include "host/facts.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "host/sub_ids.h"

namespace clawrun::host {

TEST_CASE("gather tells who and where we are, and the same twice") {
  const HostFacts facts = gather();
  CHECK(facts.uid == geteuid());
  CHECK(facts.gid == getegid());
  CHECK(facts.kernel.major >= 4);
  CHECK(facts.cpu_count >= 1);
  CHECK(facts.landlock_abi >= 0);
  if (facts.privileged) CHECK(facts.uid == 0);
  const HostFacts again = gather();
  CHECK(again.landlock_abi == facts.landlock_abi);
  CHECK(again.has_mount_api == facts.has_mount_api);
  CHECK(again.privileged == facts.privileged);
  CHECK(again.cpu_count == facts.cpu_count);
}

TEST_CASE("a kernel cannot have what came after it") {
  const HostFacts facts = gather();
  if (facts.has_clone3) CHECK(facts.kernel.at_least(5, 3));
  if (facts.has_openat2) CHECK(facts.kernel.at_least(5, 6));
  if (facts.has_mount_setattr) CHECK(facts.kernel.at_least(5, 12));
  if (facts.landlock_abi > 0) CHECK(facts.kernel.at_least(5, 13));
  CHECK(KernelVersion{5, 12}.at_least(5, 12));
  CHECK(KernelVersion{6, 1}.at_least(5, 12));
  CHECK_FALSE(KernelVersion{5, 4}.at_least(5, 12));
}

TEST_CASE("the host root offers what is there, parents first, and nothing that is secret") {
  const auto entries = host_root_entries();
  REQUIRE_FALSE(entries.empty());
  CHECK(std::ranges::is_sorted(entries, {}, &HostEntry::path));
  for (const HostEntry& entry : entries) {
    CAPTURE(entry.path);
    CHECK(entry.path.starts_with('/'));
    struct stat status {};
    REQUIRE(lstat(entry.path.c_str(), &status) == 0);
    CHECK((entry.kind == HostEntry::Kind::kSymlink) == S_ISLNK(status.st_mode));
    CHECK((entry.kind == HostEntry::Kind::kDirectory) == S_ISDIR(status.st_mode));
    CHECK(entry.link_target.empty() == (entry.kind != HostEntry::Kind::kSymlink));
    for (const char* secret :
         {"shadow", "passwd", "private", "machine-id", "hostname", "hosts", "ssh", "npmrc", "gitconfig", "pip.conf"})
      CHECK(entry.path.find(secret) == std::string::npos);
  }
  const auto twins = std::ranges::adjacent_find(entries, {}, &HostEntry::path);
  CHECK(twins == entries.end());
}

TEST_CASE("sub-id lines are found by name and by number") {
  const auto ranges =
      parse_sub_ids("root:100000:65536\nann:165536:65536\n1000:300000:1\n\n# ann:1:1\nannabel:5:5\n", "ann", 1000);
  REQUIRE(ranges);
  REQUIRE(ranges->size() == 2);
  CHECK((*ranges)[0].start == 165536);
  CHECK((*ranges)[0].count == 65536);
  CHECK((*ranges)[1].start == 300000);
  CHECK(parse_sub_ids("", "ann", 1000)->empty());
  CHECK(parse_sub_ids("bob:x:y\n:::::\nbob", "ann", 1000)->empty());
  CHECK(parse_sub_ids(":1:1\n", "", 1000)->empty());
  CHECK(parse_sub_ids("ann:4294967294:1", "ann", 1)->size() == 1);
}

TEST_CASE("a malformed sub-id line of ours is an error that names the line") {
  for (const char* bad : {"ann", "ann:1", "ann:1:", "ann::1", "ann:1:1:1", "ann:-1:1", "ann:1:0", "ann:0x1:1", "ann: 1:1",
                          "ann:1:1 ", "ann:4294967295:1", "ann:1:4294967295", "ann:18446744073709551615:2"}) {
    CAPTURE(bad);
    const auto ranges = parse_sub_ids(std::string("root:1:1\n") + bad + "\n", "ann", 1000);
    REQUIRE_FALSE(ranges);
    CHECK(ranges.error().message.find("line 2") != std::string::npos);
  }
}

TEST_CASE("a new sub-id range starts above all others") {
  CHECK(first_free_sub_id("") == 100000);
  CHECK(first_free_sub_id("a:100000:65536\nb:231072:65536\nc:x:y\nd:5:5\n") == 296608);
}

TEST_CASE("login_name reads passwd by uid") {
  const char* text =
      "root:x:0:0:root:/root:/bin/sh\nshort:x:7\n+::::::\nann:x:1000:1000::/home/ann:/bin/sh\nzed:x:1000:1::/:/bin/sh\n";
  CHECK(login_name(text, 1000) == "ann");
  CHECK(login_name(text, 0) == "root");
  CHECK(login_name(text, 7).empty());
  CHECK(login_name(text, 10).empty());
}

TEST_CASE("a sub-id file that does not exist gives no range") {
  const auto ranges = sub_id_ranges("/nonexistent/subuid", 1000);
  REQUIRE(ranges);
  CHECK(ranges->empty());
}

}  // namespace clawrun::host
