#include "cli/stats_text.h"

#include <doctest/doctest.h>

#include "cgroup/limits.h"
#include "cli/quantities.h"

namespace clawrun::cli {

namespace {

engine::Sandbox sample() {
  engine::Sandbox sandbox;
  sandbox.record.id = "a1";
  sandbox.record.first = {77, 1};
  sandbox.record.command = {"sh", "-c", "x\n\x1b[2J"};
  cgroup::Usage usage;
  usage.memory_bytes = 1 << 20U;
  usage.memory_peak_bytes = 3 << 20U;
  usage.memory_limit_bytes = 64 << 20U;
  usage.oom_kills = 1;
  usage.cpu_us = 530'000;
  usage.cpu_user_us = 400'000;
  usage.cpu_system_us = 130'000;
  usage.cpu_periods = 10;
  usage.cpu_throttled_periods = 3;
  usage.cpu_throttled_us = 200'000;
  usage.pids = 3;
  usage.pids_limit = 512;
  usage.pids_limit_hits = 2;
  usage.has_io = true;
  usage.io = {{"8:0", 2048, 1024, 1, 2}};
  usage.cpu_pressure = cgroup::Pressure{1'000'000, 0};
  usage.memory_pressure = cgroup::Pressure{0, 0};
  sandbox.usage = usage;
  return sandbox;
}

bool has(const std::string& text, std::string_view part) {
  CAPTURE(text);
  CAPTURE(part);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("times are short and exact enough") {
  CHECK(format_age(0) == "0s");
  CHECK(format_age(59'999) == "59s");
  CHECK(format_age(60'000) == "1m");
  CHECK(format_age(3'599'000) == "59m");
  CHECK(format_age(47 * 3'600'000ULL) == "47h");
  CHECK(format_age(48 * 3'600'000ULL) == "2d");
  CHECK(format_time(0) == "0.00s");
  CHECK(format_time(9'999'999) == "9.99s");
  CHECK(format_time(12'340'000) == "12.3s");
  CHECK(format_time(65'000'000) == "1m05s");
  CHECK(format_time(7'500'000'000) == "2h05m");
  CHECK(format_counted(std::nullopt) == "-");
}

TEST_CASE("a sample says what was counted, and of what") {
  const std::string text = stats_text(sample());
  for (const char* line :
       {"sandbox    a1, running for ", ", pid 77\n", "command    sh -c x??[2J\n",
        "memory     1m of 64m, at most 3m so far, 1 process killed for want of it\n",
        "processor  0.53s (user 0.40s, system 0.13s), held back for 0.20s in 3 of 10 periods\n",
        "processes  3 of 512, 2 forks refused\n", "disk       8:0 read 2k in 1 operation, wrote 1k in 2 operations\n",
        "pressure   waited for processors 1.00s, for memory 0.00s\n"})
    CHECK(has(text, line));
}

TEST_CASE("what nobody counts is said, and a lifted limit is none") {
  engine::Sandbox sandbox = sample();
  sandbox.usage = cgroup::Usage{};
  sandbox.usage->frozen = true;
  std::string text = stats_text(sandbox);
  for (const char* line : {"paused", "memory     not counted\n", "processor  not counted\n", "processes  not counted\n",
                           "disk       not counted\n", "pressure   not counted\n"})
    CHECK(has(text, line));
  sandbox.usage->memory_bytes = 4096;
  sandbox.usage->memory_limit_bytes = cgroup::kUnlimited;
  sandbox.usage->has_io = true;
  text = stats_text(sandbox);
  CHECK(has(text, "memory     4k\n"));
  CHECK(has(text, "disk       none used\n"));
  sandbox.usage.reset();
  sandbox.record.first.pid = 0;
  text = stats_text(sandbox);
  CHECK(has(text, "a1, starting for "));
  CHECK(has(text, "nothing: it has no cgroup\n"));
}

TEST_CASE("rows have titles once and a share of the processor from the second on") {
  Previous previous;
  engine::Sandbox sandbox = sample();
  const std::string first = stats_row(sandbox, previous);
  CHECK(has(first, "CPU%"));
  CHECK(has(first, "       1m       3m        -        3       2k       1k\n"));
  const std::string second = stats_row(sandbox, previous);
  CHECK_FALSE(has(second, "CPU%"));
  CHECK(has(second, "      0.0 "));
  // A clock of the cgroup that ran backwards is no share.
  sandbox.usage->cpu_us = 0;
  CHECK(has(stats_row(sandbox, previous), "        - "));
}

}  // namespace clawrun::cli
