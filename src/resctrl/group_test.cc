#include "resctrl/group.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "resctrl/schemata.h"
#include "resctrl/stats.h"
#include "sys/sys.h"

namespace clawrun::resctrl {
namespace {

namespace fs = std::filesystem;

// A directory with files like those of resctrl. What the kernel puts into a new group is put there by populate().
class Tree {
 public:
  Tree() {
    char pattern[] = "/tmp/clawrun-resctrl-XXXXXX";
    REQUIRE(::mkdtemp(pattern) != nullptr);
    root_ = pattern;
    fs::create_directories(root_ + "/mon_groups");
    populate("");
    write("schemata", "    MB:0=100;1= 50\n    L3:0=fffff;1=0000f\n");
  }
  ~Tree() { fs::remove_all(root_); }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  [[nodiscard]] const std::string& root() const { return root_; }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(root_ + "/" + name).parent_path());
    const auto file = sys::open(root_ + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    REQUIRE(file);
    REQUIRE(sys::write_all(file->get(), text));
  }
  [[nodiscard]] std::string text(const std::string& name) const {
    return sys::read_file(root_ + "/" + name, 65536).value_or("none");
  }
  void populate(const std::string& group) const {
    for (const char* file : {"tasks", "schemata"}) write(group + "/" + file, "");
    fs::create_directories(root_ + "/" + group + "/mon_groups");
  }
  // The kernel's files go with their directory.
  void empty(const std::string& group) const {
    for (const char* file : {"tasks", "schemata", "mon_groups"}) fs::remove(root_ + "/" + group + "/" + file);
  }
  [[nodiscard]] bool has(const std::string& name) const { return fs::exists(root_ + "/" + name); }
  [[nodiscard]] Result<Group> find(const Request& request) const { return Group::find(root_, request); }

 private:
  std::string root_;
};

template <typename T>
std::string message(const Result<T>& result) {
  return result ? "" : result.error().message;
}

bool says(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("resctrl: mount points by type, whole, with their blanks") {
  CHECK(mount_points("30 25 0:26 / /sys/fs/resctrl rw,nosuid shared:5 - resctrl resctrl rw,cdp\n"
                     "31 25 0:26 / /mnt/a\\040b\\134 rw - resctrl none rw\n"
                     "32 25 0:26 /group /mnt/part rw - resctrl none rw\n"
                     "33 25 0:27 / /resctrl rw - tmpfs resctrl rw\n"
                     "34 - resctrl \n - resctrl x\n") == std::vector<std::string>{"/sys/fs/resctrl", "/mnt/a b\\"});
  CHECK(mount_points("").empty());
}

TEST_CASE("resctrl: the lines are put together as the specification has it") {
  CHECK(lines_of({}) == "");
  CHECK(lines_of({.l3_cache_schema = "L3:0=f"}) == "L3:0=f\n");
  CHECK(lines_of({.l3_cache_schema = "L3:0=f\nMB:0=20\n"}) == "L3:0=f\nMB:0=20\n");
  CHECK(lines_of({.l3_cache_schema = "MB:0=20\nL3:0=f", .mem_bw_schema = "MB:0=30"}) == "L3:0=f\nMB:0=30\n");
  CHECK(lines_of({.l3_cache_schema = "L3:0=f", .schemata = {"L2:0=3", "MB:0=1"}}) == "L3:0=f\nL2:0=3\nMB:0=1\n");
}

TEST_CASE("resctrl: schemata are compared by what they mean") {
  const std::string there = "    MB:0=100;1= 50\n    L3:0=fffff;1=0000f\n";
  CHECK(first_difference("L3:1=F", there, 0) == "");
  CHECK(first_difference("MB: 1 = 50 ;0=100", there, 0) == "");
  CHECK(first_difference("L3:0=fffff;1=1f", there, 0) == "L3:1=f, where config.json has 1f");
  CHECK(first_difference("L3:2=1", there, 0) == "L3:2 is not among them");
  CHECK(first_difference("L2:0=1", there, 0) == "L2:0 is not among them");
  // Rounded up by the kernel when the first container asked for the same.
  CHECK(first_difference("MB:1=41", there, 10) == "");
  CHECK(first_difference("MB:1=41", there, 0) != "");
  CHECK(first_difference("MB:1=51", there, 10) != "");
  CHECK(first_difference("L3:1=e", there, 10) != "");
  CHECK(line_of(there, "L3") == "L3:0=fffff;1=0000f");
  CHECK(line_of(there, "L") == "");
}

TEST_CASE("resctrl: without closID the group has the container's name, and goes with it") {
  const Tree tree;
  auto group = tree.find({.container_id = "c1", .l3_cache_schema = "L3:0=f", .mem_bw_schema = "MB:0=20"});
  REQUIRE(group);
  CHECK(group->own() == tree.root() + "/c1");
  CHECK_FALSE(tree.has("c1"));
  REQUIRE(group->make());
  tree.populate("c1");
  CHECK(message(group->configure()) == "");
  CHECK(tree.text("c1/schemata") == "L3:0=f\nMB:0=20\n");
  CHECK(message(group->add(77)) == "");
  CHECK(tree.text("c1/tasks") == "77");
  CHECK(says(message(tree.find({.container_id = "c1"})), "already, which is not this container's"));
  tree.empty("c1");
  CHECK(message(remove(group->own())) == "");
  CHECK_FALSE(tree.has("c1"));
  CHECK(message(remove(group->own())) == "");
  CHECK(message(remove("")) == "");
}

TEST_CASE("resctrl: a chosen group is made, or must match, and is not the container's") {
  const Tree tree;
  CHECK(says(message(tree.find({.clos_id = "gold", .container_id = "c"})), "must be there before the container"));
  auto group = tree.find({.clos_id = "gold", .container_id = "c", .schemata = {"L3:0=f"}});
  REQUIRE(group);
  CHECK(group->own() == "");
  REQUIRE(group->make());
  tree.populate("gold");
  CHECK(message(group->configure()) == "");
  CHECK(tree.text("gold/schemata") == "L3:0=f\n");
  // The second one finds it, and writes nothing.
  auto second = tree.find({.clos_id = "gold", .container_id = "d", .l3_cache_schema = "L3:0=0f"});
  REQUIRE(second);
  REQUIRE(second->make());
  CHECK(message(second->configure()) == "");
  CHECK(tree.text("gold/schemata") == "L3:0=f\n");
  CHECK(message(second->add(5)) == "");
  second->take_back();
  CHECK(tree.has("gold"));
  CHECK(says(message(tree.find({.clos_id = "gold", .container_id = "d", .mem_bw_schema = "MB:0=1"})), "MB:0 is not among them"));
  CHECK(tree.find({.clos_id = "gold", .container_id = "d"}));
  // Where somebody else is in it by now, who has made it does not take it back.
  group->take_back();
  CHECK(tree.has("gold"));
}

TEST_CASE("resctrl: what a failed container has made is gone") {
  const Tree tree;
  auto group = tree.find({.clos_id = "new", .container_id = "c", .schemata = {"L3:0=f"}});
  REQUIRE(group);
  REQUIRE(group->make());
  CHECK(tree.has("new"));
  // No file of the kernel's: as where the mount is no resctrl.
  CHECK(says(message(group->configure()), "new/schemata"));
  group->take_back();
  CHECK_FALSE(tree.has("new"));
  // The second directory fails: the first one goes.
  auto monitored = tree.find({.clos_id = "new", .container_id = "c", .schemata = {"L3:0=f"}, .monitoring = Monitoring::kOn});
  REQUIRE(monitored);
  tree.write("info/last_cmd_status", "Out of\x1b RMIDs\n");
  const std::string problem = message(monitored->make());
  CHECK(says(problem, "new/mon_groups/c: No such file"));
  CHECK(says(problem, "the kernel says \"Out of\\x1b RMIDs\""));
  CHECK_FALSE(tree.has("new"));
  // A link in its place leads nowhere.
  fs::create_directory_symlink("/tmp", tree.root() + "/link");
  CHECK_FALSE(tree.find({.clos_id = "link", .container_id = "c"}));
}

TEST_CASE("resctrl: the root group is everybody's, and monitoring has a group of its own in each") {
  const Tree tree;
  auto root = tree.find({.clos_id = "/", .container_id = "c", .schemata = {"L3:1=f"}, .monitoring = Monitoring::kOn});
  REQUIRE(root);
  CHECK(root->path() == tree.root());
  CHECK(root->own() == tree.root() + "/mon_groups/c");
  REQUIRE(root->make());
  tree.populate("mon_groups/c");
  CHECK(message(root->add(9)) == "");
  CHECK(tree.text("tasks") == "9");
  CHECK(tree.text("mon_groups/c/tasks") == "9");
  CHECK(says(message(tree.find({.clos_id = "/", .container_id = "c", .monitoring = Monitoring::kOn})), "mon_groups/c already"));
  tree.empty("mon_groups/c");
  CHECK(message(remove(root->own())) == "");
  CHECK_FALSE(tree.has("mon_groups/c"));
  CHECK_FALSE(tree.find({.clos_id = "/", .container_id = "c", .schemata = {"L3:1=1"}}));
  CHECK(Group::named(tree.root(), {.container_id = "d", .monitoring = Monitoring::kOn}).own() == tree.root() + "/d");
}

TEST_CASE("resctrl: what the kernel counts and allows") {
  const Tree tree;
  const Group group = Group::named(tree.root(), {.clos_id = "gold", .container_id = "c", .monitoring = Monitoring::kOn});
  const Stats none = read_stats(group);
  CHECK_FALSE(none.cache);
  CHECK(none.uses.empty());
  for (const auto& [name, text] : {std::pair{"info/L3/cbm_mask", "fffff\n"}, std::pair{"info/L3/min_cbm_bits", "1\n"},
                                   std::pair{"info/L3/num_closids", "16\n"}, std::pair{"info/MB/bandwidth_gran", "10\n"},
                                   std::pair{"info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n"},
                                   std::pair{"gold/schemata", "    MB:0=  20\n    L3:0=0000f\n"},
                                   std::pair{"gold/mon_groups/c/mon_data/mon_L3_01/mbm_total_bytes", "12\n"},
                                   std::pair{"gold/mon_groups/c/mon_data/mon_L3_00/mbm_total_bytes", "Unavailable\n"},
                                   std::pair{"gold/mon_groups/c/mon_data/mon_L3_00/llc_occupancy", "34\n"},
                                   std::pair{"gold/mon_groups/c/mon_data/other/llc_occupancy", "1\n"}})
    tree.write(name, text);
  const Stats stats = read_stats(group);
  REQUIRE(stats.cache);
  CHECK(stats.cache->mask == "fffff");
  CHECK(stats.cache->groups == 16);
  CHECK(stats.cache_root_line == "L3:0=fffff;1=0000f");
  CHECK(stats.cache_line == "L3:0=0000f");
  REQUIRE(stats.bandwidth);
  CHECK(stats.bandwidth->step == 10);
  CHECK(stats.bandwidth_line == "MB:0=  20");
  REQUIRE(stats.uses.size() == 2);
  CHECK(stats.uses[0].occupied_bytes == 34);
  CHECK(stats.uses[0].total_bytes == 0);
  CHECK(stats.uses[1].total_bytes == 12);
}

}  // namespace
}  // namespace clawrun::resctrl
