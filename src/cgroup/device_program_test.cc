#include "cgroup/device_program.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <random>
#include <string>

#include "cgroup/devices.h"

namespace clawrun::cgroup {

namespace {

struct Access {
  char type;
  std::uint32_t major;
  std::uint32_t minor;
  DeviceAccess asked;
};

// What the words above tabulate() say, one access at a time.
bool is_allowed(std::span<const DeviceRule> rules, const Access& access) {
  for (const int bit : {1, 2, 4}) {
    if ((access.asked & bit) == 0) continue;
    bool allowed = false;
    for (const DeviceRule& rule : rules) {
      const bool named = bit == 1 ? rule.mknod : bit == 2 ? rule.read : rule.write;
      if (named && (rule.type == 'a' || rule.type == access.type) && rule.major.value_or(access.major) == access.major &&
          rule.minor.value_or(access.minor) == access.minor)
        allowed = rule.allow;
    }
    if (!allowed) return false;
  }
  return true;
}

// The instructions that a policy needs, as Documentation/bpf/standardization/instruction-set.rst defines them. Anything that the
// kernel's verifier would not take fails the test.
class Machine {
 public:
  explicit Machine(std::span<const bpf_insn> program) : program_(program), reached_(program.size()) {}

  std::uint64_t run(const Access& access) {
    context_ = {.access_type = std::uint32_t{access.asked} << 16 | (access.type == 'b' ? 1U : 2U),
                .major = access.major,
                .minor = access.minor};
    known_ = {};
    known_[1] = true;
    std::size_t at = 0;
    for (;;) {
      REQUIRE(at < program_.size());
      reached_[at] = true;
      const bpf_insn& insn = program_[at];
      if (insn.code == (BPF_JMP | BPF_EXIT)) return value(0);
      at += 1 + static_cast<std::size_t>(step(insn));
    }
  }

  [[nodiscard]] bool reached_all() const { return std::ranges::find(reached_, false) == reached_.end(); }

 private:
  std::uint64_t value(unsigned number) {
    REQUIRE(number != 1);  // the context is no number
    REQUIRE(known_[number]);
    return registers_[number];
  }

  // How far it jumps.
  int step(const bpf_insn& insn) {
    const auto immediate = static_cast<std::uint64_t>(std::int64_t{insn.imm});
    switch (BPF_CLASS(insn.code)) {
      case BPF_LDX:
        load(insn);
        return 0;
      case BPF_ALU64:
        compute(insn, BPF_SRC(insn.code) == BPF_X ? value(insn.src_reg) : immediate);
        return 0;
      case BPF_JMP:
        REQUIRE(insn.off >= 0);
        REQUIRE(BPF_SRC(insn.code) == BPF_K);
        return BPF_OP(insn.code) == BPF_JA || holds(insn, value(insn.dst_reg), immediate) ? insn.off : 0;
      default:
        FAIL("instruction class " << BPF_CLASS(insn.code));
        return 0;
    }
  }

  void load(const bpf_insn& insn) {
    REQUIRE(insn.code == (BPF_LDX | BPF_MEM | BPF_W));
    REQUIRE(insn.src_reg == 1);
    REQUIRE(insn.dst_reg != 1);
    const std::uint32_t words[] = {context_.access_type, context_.major, context_.minor};
    REQUIRE(insn.off % 4 == 0);
    REQUIRE(static_cast<std::size_t>(insn.off) < sizeof words);
    set(insn.dst_reg, words[insn.off / 4]);
  }

  void compute(const bpf_insn& insn, std::uint64_t right) {
    switch (BPF_OP(insn.code)) {
      case BPF_MOV:
        return set(insn.dst_reg, right);
      case BPF_OR:
        return set(insn.dst_reg, value(insn.dst_reg) | right);
      case BPF_LSH:
        REQUIRE(right < 64);
        return set(insn.dst_reg, value(insn.dst_reg) << right);
      case BPF_ARSH:
        REQUIRE(right < 64);
        return set(insn.dst_reg, static_cast<std::uint64_t>(static_cast<std::int64_t>(value(insn.dst_reg)) >> right));
      default:
        FAIL("arithmetic " << BPF_OP(insn.code));
    }
  }

  static bool holds(const bpf_insn& insn, std::uint64_t left, std::uint64_t right) {
    switch (BPF_OP(insn.code)) {
      case BPF_JEQ:
        return left == right;
      case BPF_JNE:
        return left != right;
      case BPF_JSET:
        return (left & right) != 0;
      case BPF_JLT:
        return left < right;
      case BPF_JLE:
        return left <= right;
      default:
        FAIL("condition " << BPF_OP(insn.code));
        return false;
    }
  }

  void set(unsigned number, std::uint64_t to) {
    REQUIRE(number != 1);
    REQUIRE(number < 10);
    registers_[number] = to;
    known_[number] = true;
  }

  std::span<const bpf_insn> program_;
  std::vector<bool> reached_;
  bpf_cgroup_dev_ctx context_{};
  std::array<std::uint64_t, 16> registers_{};
  std::array<bool, 16> known_{};
};

std::vector<bpf_insn> program_of(std::span<const DeviceRule> rules) {
  const auto tables = tabulate(rules);
  REQUIRE(tables);
  return compile_device_program(*tables);
}

// Few numbers, so that rules meet; with the ends of their ranges, and one that no device has.
std::uint32_t some_number(std::mt19937& random, std::uint32_t largest) {
  const std::uint32_t numbers[] = {0, 1, 2, 3, 4, 5, 7, 2047, 2048, largest - 1, largest, largest + 1};
  return numbers[random() % std::size(numbers)];
}

DeviceRule some_rule(std::mt19937& random) {
  DeviceRule rule{.allow = random() % 3 != 0,
                  .type = "aabbbcccc"[random() % 9],
                  .read = random() % 3 != 0,
                  .write = random() % 3 != 0,
                  .mknod = random() % 3 != 0};
  if (rule.type == 'a') return rule;
  if (random() % 5 != 0) rule.major = some_number(random, kMaxMajor);
  if (random() % 4 != 0) rule.minor = some_number(random, kMaxMinor);
  return rule;
}

std::vector<DeviceRule> some_rules(std::mt19937& random) {
  std::vector<DeviceRule> rules(random() % 12);
  for (DeviceRule& rule : rules) rule = some_rule(random);
  if (random() % 8 == 0)  // neighbours, for the tests of ranges
    for (std::uint32_t i = 0; i < random() % 9; ++i)
      rules.push_back({.type = 'c', .major = 2047 + i % 2, .minor = i, .mknod = false});
  return rules;
}

Access some_access(std::mt19937& random) {
  return {.type = "bc"[random() % 2],
          .major = std::min(some_number(random, kMaxMajor), kMaxMajor),
          .minor = std::min(some_number(random, kMaxMinor), kMaxMinor),
          .asked = static_cast<DeviceAccess>(1 + random() % 7)};
}

// The v1 controller: security/device_cgroup.c. A group grants everything but its exceptions, or nothing but them.
class Controller {
 public:
  void write(const DeviceLine& line) {
    const bool allow = line.file == "devices.allow";
    char type = 0;
    char major[16];
    char minor[16];
    char letters[8];
    REQUIRE(sscanf(line.text.c_str(), "%c %15[^:]:%15s %7s", &type, major, minor, letters) == 4);
    if (type == 'a') {
      grants_all_ = allow;
      exceptions_.clear();
      return;
    }
    int accesses = 0;
    for (const char letter : std::string_view(letters))
      accesses |= letter == 'm' ? 1 : letter == 'r' ? 2 : letter == 'w' ? 4 : 128;
    REQUIRE(accesses < 8);
    REQUIRE(accesses > 0);
    int& exception = exceptions_[std::string(1, type) + major + ":" + minor];
    exception = allow != grants_all_ ? exception | accesses : exception & ~accesses;
  }

  [[nodiscard]] bool allows(const Access& access) const {
    for (const auto& major : {std::string("*"), std::to_string(access.major)}) {
      for (const auto& minor : {std::string("*"), std::to_string(access.minor)}) {
        const auto found = exceptions_.find(std::string(1, access.type) + major + ":" + minor);
        if (found == exceptions_.end() || found->second == 0) continue;
        if (grants_all_ ? (found->second & access.asked) != 0 : (access.asked & ~found->second) == 0) return !grants_all_;
      }
    }
    return grants_all_;
  }

  [[nodiscard]] std::string list() const {
    if (grants_all_) return "a *:* rwm\n";
    std::string text;
    for (const auto& [name, accesses] : exceptions_) {
      if (accesses == 0) continue;
      text += name.substr(0, 1) + " " + name.substr(1) + " ";
      if ((accesses & 2) != 0) text += 'r';
      if ((accesses & 4) != 0) text += 'w';
      if ((accesses & 1) != 0) text += 'm';
      text += '\n';
    }
    return text;
  }

 private:
  bool grants_all_ = true;
  std::map<std::string, int> exceptions_;
};

}  // namespace

TEST_CASE("the device program answers as the rules do") {
  std::mt19937 random(20240229);
  for (int round = 0; round < 800; ++round) {
    const std::vector<DeviceRule> rules = some_rules(random);
    const std::vector<bpf_insn> program = program_of(rules);
    REQUIRE(program.size() < 4096);
    Machine machine(program);
    for (int i = 0; i < 100; ++i) {
      const Access access = some_access(random);
      CAPTURE(access.type);
      CAPTURE(access.major);
      CAPTURE(access.minor);
      CAPTURE(int{access.asked});
      REQUIRE((machine.run(access) == 1) == is_allowed(rules, access));
    }
  }
}

TEST_CASE("no instruction of a device program is unreachable, and none is wasted") {
  const DeviceRule zero{.type = 'c', .major = 1, .minor = 5};
  struct Row {
    std::vector<DeviceRule> rules;
    std::size_t instructions;
  };
  const Row rows[] = {
      {{}, 2},                                                                    // answer, exit
      {{{.type = 'a'}}, 2},                                                       // likewise
      {{{.allow = false, .type = 'a'}, {.type = 'a'}}, 2},                        // the first rule has no effect
      {{{.type = 'a', .mknod = false}}, 5},                                       // load, test
      {{zero}, 10},                                                               // the type too, four for the number
      {{zero, zero, {.allow = false, .type = 'c', .major = 1, .minor = 6}}, 10},  // what is denied anyway needs nothing
      {{{.type = 'c', .major = 136}}, 7},                                         // no minor number is loaded
      {{{.type = 'c', .minor = 3}}, 7},                                           // no major number is
      {{{.allow = false, .type = 'c', .minor = 3}}, 2},                           // nor what is denied anyway
  };
  for (const Row& row : rows) {
    const std::vector<bpf_insn> program = program_of(row.rules);
    CHECK(program.size() == row.instructions);
  }
  CHECK(program_of(default_device_rules()).size() == 18);

  std::mt19937 random(7);
  for (int round = 0; round < 40; ++round) {
    const std::vector<DeviceRule> rules = some_rules(random);
    const std::vector<bpf_insn> program = program_of(rules);
    Machine machine(program);
    for (const char type : {'b', 'c'})
      for (const std::uint32_t major : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U, 2047U, 2048U, kMaxMajor - 1, kMaxMajor})
        for (const std::uint32_t minor : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 2047U, 2048U, kMaxMinor - 1, kMaxMinor})
          for (DeviceAccess asked = 1; asked < 8; ++asked) machine.run({type, major, minor, asked});
    REQUIRE(machine.reached_all());
  }
}

TEST_CASE("what later device rules take away is gone") {
  const std::vector<DeviceRule> rules = {{.type = 'c'},
                                         {.allow = false, .type = 'c', .major = 1, .minor = 7, .read = false, .mknod = false}};
  const std::vector<bpf_insn> program = program_of(rules);
  Machine machine(program);
  CHECK(machine.run({'c', 1, 7, 2}) == 1);
  CHECK(machine.run({'c', 1, 7, 4}) == 0);
  CHECK(machine.run({'c', 1, 7, 6}) == 0);  // both at once needs both
  CHECK(machine.run({'c', 1, 8, 6}) == 1);
  CHECK(machine.run({'b', 1, 7, 2}) == 0);
}

TEST_CASE("a sandbox has the harmless devices and may open no other") {
  const std::vector<bpf_insn> program = program_of(default_device_rules());
  Machine machine(program);
  for (const std::uint32_t minor : {3U, 5U, 7U, 8U, 9U}) CHECK(machine.run({'c', 1, minor, 7}) == 1);
  for (const std::uint32_t minor : {1U, 2U, 4U, 6U, 11U}) CHECK(machine.run({'c', 1, minor, 2}) == 0);  // mem, kmem, port, kmsg
  CHECK(machine.run({'c', 136, 77, 7}) == 1);
  CHECK(machine.run({'c', 5, 1, 6}) == 0);  // the console of the host
  CHECK(machine.run({'b', 1, 3, 2}) == 0);
  CHECK(machine.run({'b', 8, 0, 1}) == 1);
  CHECK(machine.run({'b', 8, 0, 3}) == 0);
}

TEST_CASE("device policies that are wrong or too large are refused") {
  const auto message_of = [](const std::vector<DeviceRule>& rules) {
    const auto tables = tabulate(rules);
    REQUIRE_FALSE(tables);
    CHECK(tables.error().kind == ErrorKind::kInvalid);
    return tables.error().message;
  };
  CHECK(message_of({{.type = 'c'}, {.type = '\x1b'}}).find("device rule 2: the type is \"\\x1b\"") == 0);
  CHECK(message_of({{.type = 'a', .minor = 3}}).find("takes no numbers") != std::string::npos);
  CHECK(message_of(std::vector<DeviceRule>(kMaxDeviceRules + 1)).find("at most 1024") != std::string::npos);

  std::vector<DeviceRule> many;
  for (std::uint32_t i = 0; i < kMaxDeviceRules; ++i) many.push_back({.type = 'c', .major = i * 4 + 3, .minor = i * 3});
  CHECK(program_of(many).size() < 4096);
  CHECK(program_of(many).size() > kMaxDeviceRules);
  for (std::uint32_t i = 0; i < kMaxDeviceRules; ++i) many[i] = {.type = 'c', .major = 10, .minor = i};
  CHECK(program_of(many).size() == 12);  // one run of neighbours

  many.clear();
  for (std::uint32_t i = 0; i < 70; ++i) {
    many.push_back({.type = 'c', .major = i, .mknod = false});
    many.push_back({.type = 'c', .minor = i * 2, .read = false});
  }
  CHECK(message_of(many).find("more than 4000 devices") != std::string::npos);
  many.resize(120);
  CHECK(program_of(many).size() < 4096);
}

TEST_CASE("numbers that no device has are in no program") {
  CHECK(program_of(std::vector<DeviceRule>{{.type = 'c', .major = kMaxMajor + 1, .minor = 3}}).size() == 2);
  CHECK(program_of(std::vector<DeviceRule>{{.type = 'c', .major = 1, .minor = kMaxMinor + 1}}).size() == 2);
  CHECK(program_of(std::vector<DeviceRule>{{.type = 'c', .major = UINT32_MAX}}).size() == 2);
}

TEST_CASE("the lines of v1 mean what the rules mean, or are refused") {
  std::mt19937 random(1066);
  int expressed = 0;
  for (int round = 0; round < 600; ++round) {
    Controller controller;
    for (int change = 0; change < 3; ++change) {
      std::vector<DeviceRule> rules = some_rules(random);
      if (!rules.empty() && random() % 3 == 0) rules.front() = {.type = 'a'};
      const auto from_scratch = device_lines_v1(rules);
      const auto changes = device_changes_v1(rules, controller.list());
      REQUIRE(from_scratch.has_value() == changes.has_value());
      if (!changes) {
        CHECK(changes.error().kind == ErrorKind::kUnsupported);
        continue;
      }
      ++expressed;
      Controller fresh;
      for (const DeviceLine& line : *from_scratch) fresh.write(line);
      for (const DeviceLine& line : *changes) controller.write(line);
      CHECK(fresh.list() == controller.list());
      for (int i = 0; i < 50; ++i) {
        const Access access = some_access(random);
        // mknod(2) asks for that alone, so that no line needs to hold it together with the rest.
        if ((access.asked & kMknod) != 0 && access.asked != kMknod) continue;
        REQUIRE(controller.allows(access) == is_allowed(rules, access));
        REQUIRE(fresh.allows(access) == is_allowed(rules, access));
      }
    }
  }
  CHECK(expressed > 600);
}

TEST_CASE("v1 begins by denying everything, and an update writes only what changes, grants first") {
  const std::vector<DeviceRule> rules = {{.type = 'c', .major = 1, .minor = 3}, {.type = 'b', .read = false, .write = false}};
  CHECK(device_lines_v1(rules).value() ==
        std::vector<DeviceLine>{{"devices.deny", "a *:* rwm"}, {"devices.allow", "b *:* m"}, {"devices.allow", "c 1:3 rwm"}});
  CHECK(device_changes_v1(rules, "a *:* rwm\n").value() == device_lines_v1(rules).value());
  CHECK(device_changes_v1(rules, "c 1:3 rwm\nb *:* m\n").value().empty());
  CHECK(device_changes_v1(rules, "c 1:3 r\nb *:* rm\nc 10:200 rwm\n").value() ==
        std::vector<DeviceLine>{{"devices.allow", "c 1:3 wm"}, {"devices.deny", "b *:* r"}, {"devices.deny", "c 10:200 rwm"}});
  CHECK(device_lines_v1(std::vector<DeviceRule>{{.type = 'a'}}).value() ==
        std::vector<DeviceLine>{{"devices.deny", "a *:* rwm"}, {"devices.allow", "a *:* rwm"}});
  // The line of one kind of access to all devices would mean all kinds: the kernel reads nothing after an "a".
  CHECK(device_lines_v1(std::vector<DeviceRule>{{.type = 'a', .write = false, .mknod = false}}).value() ==
        std::vector<DeviceLine>{{"devices.deny", "a *:* rwm"}, {"devices.allow", "b *:* r"}, {"devices.allow", "c *:* r"}});
  const auto narrowed =
      device_lines_v1(std::vector<DeviceRule>{{.type = 'c'}, {.allow = false, .type = 'c', .major = 1, .minor = 3}});
  REQUIRE_FALSE(narrowed);
  CHECK(narrowed.error().message.find("cannot deny c 1:3 what a wider rule grants") != std::string::npos);
}

}  // namespace clawrun::cgroup
