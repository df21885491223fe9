#include "cgroup/details.h"

#include <dirent.h>

#include <charconv>
#include <memory>

#include "base/text.h"
#include "cgroup/files.h"
#include "cgroup/limits.h"

namespace clawrun::cgroup {

namespace {

using Number = std::optional<std::uint64_t>;

MemoryCount count_v1(int directory, const std::string& stem) {
  return {read_number(directory, (stem + ".limit_in_bytes").c_str()), read_number(directory, (stem + ".usage_in_bytes").c_str()),
          read_number(directory, (stem + ".max_usage_in_bytes").c_str()), read_number(directory, (stem + ".failcnt").c_str())};
}

std::string first_line(int directory, const char* file) {
  const auto text = read_control(directory, file);
  return text ? text->substr(0, text->find('\n')) : std::string();
}

void read_flat(int directory, const char* file, std::map<std::string, std::uint64_t>& into) {
  const auto text = read_control(directory, file);
  if (!text) return;
  for (const std::string_view line : split(*text, '\n')) {
    const std::size_t blank = line.find(' ');
    if (blank == std::string_view::npos) continue;
    if (const auto value = parse_unsigned(line.substr(blank + 1))) into[std::string(line.substr(0, blank))] = *value;
  }
}

std::vector<std::uint64_t> read_list(int directory, const char* file) {
  std::vector<std::uint64_t> numbers;
  const auto text = read_control(directory, file);
  if (!text) return numbers;
  for (const std::string_view word : split(std::string_view(*text).substr(0, text->find('\n')), ' '))
    if (const auto value = parse_unsigned(word)) numbers.push_back(*value);
  return numbers;
}

// cpuacct.usage_all: "cpu user system", then a line for each processor.
void read_percpu(int directory, Details& details) {
  details.percpu_ns = read_list(directory, "cpuacct.usage_percpu");
  const auto text = read_control(directory, "cpuacct.usage_all");
  if (!text) return;
  for (const std::string_view line : split(*text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 3 || !parse_unsigned(words[0])) continue;
    details.percpu_user_ns.push_back(parse_unsigned(words[1]).value_or(0));
    details.percpu_kernel_ns.push_back(parse_unsigned(words[2]).value_or(0));
  }
}

// "8:0 Read 4096"; the last line, "Total 4096", is of no device.
std::vector<BlkioEntry> read_blkio(int directory, std::initializer_list<const char*> files) {
  for (const char* file : files) {
    std::vector<BlkioEntry> entries;
    const auto text = read_control(directory, file);
    if (!text) continue;
    for (const std::string_view line : split(*text, '\n')) {
      const auto words = split(line, ' ');
      if (words.size() < 2) continue;
      const auto numbers = split(words[0], ':');
      if (numbers.size() != 2) continue;
      const auto major = parse_unsigned(numbers[0]);
      const auto minor = parse_unsigned(numbers[1]);
      const auto value = parse_unsigned(words.back());
      if (major && minor && value)
        entries.push_back({*major, *minor, words.size() > 2 ? std::string(words[1]) : std::string(), *value});
    }
    if (!entries.empty()) return entries;
  }
  return {};
}

// "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …" in the entries of v1.
void read_io_stat(int directory, Details& details) {
  const auto text = read_control(directory, "io.stat");
  if (!text) return;
  for (const std::string_view line : split(*text, '\n')) {
    const auto words = split(line, ' ');
    const auto numbers = split(words[0], ':');
    if (numbers.size() != 2) continue;
    const std::uint64_t major = parse_unsigned(numbers[0]).value_or(0);
    const std::uint64_t minor = parse_unsigned(numbers[1]).value_or(0);
    for (const std::string_view word : words) {
      const std::size_t equals = word.find('=');
      if (equals == std::string_view::npos) continue;
      const std::uint64_t value = parse_unsigned(word.substr(equals + 1)).value_or(0);
      const std::string_view key = word.substr(0, equals);
      if (key == "rbytes" || key == "wbytes")
        details.io_service_bytes.push_back({major, minor, key == "rbytes" ? "Read" : "Write", value});
      if (key == "rios" || key == "wios") details.io_serviced.push_back({major, minor, key == "rios" ? "Read" : "Write", value});
    }
  }
}

// The page sizes of this kernel, from the files that the group has.
std::vector<std::string> page_sizes(const std::string& path, std::string_view suffix) {
  std::vector<std::string> sizes;
  constexpr std::string_view kPrefix = "hugetlb.";
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), ::closedir);
  if (!stream) return sizes;
  while (const dirent* entry = ::readdir(stream.get())) {
    std::string_view name = entry->d_name;
    if (!name.starts_with(kPrefix) || !name.ends_with(suffix)) continue;
    name = name.substr(kPrefix.size(), name.size() - kPrefix.size() - suffix.size());
    if (!name.empty() && name.find('.') == std::string_view::npos) sizes.emplace_back(name);
  }
  return sizes;
}

// What is reserved is the count that limits apply to first, where the kernel has it.
void read_hugetlb_v2(const std::string& path, int directory, Details& details) {
  for (const std::string& size : page_sizes(path, ".current")) {
    const std::string stem = "hugetlb." + size;
    Number bytes = read_number(directory, (stem + ".rsvd.current").c_str());
    if (!bytes) bytes = read_number(directory, (stem + ".current").c_str());
    const auto events = read_control(directory, (stem + ".events").c_str());
    details.hugetlb[size] = {bytes.value_or(0), 0, events ? flat_keyed(*events, "max").value_or(0) : 0};
  }
}

void read_hugetlb_v1(const std::string& path, int directory, Details& details) {
  for (const std::string& size : page_sizes(path, ".limit_in_bytes")) {
    std::string stem = "hugetlb." + size;
    if (exists_in(directory, (stem + ".rsvd.usage_in_bytes").c_str())) stem += ".rsvd";
    const MemoryCount count = count_v1(directory, stem);
    details.hugetlb[size] = {count.bytes.value_or(0), count.peak_bytes.value_or(0), count.failures.value_or(0)};
  }
}

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=123"
PressureLine pressure_line(std::string_view line) {
  PressureLine result;
  for (const std::string_view word : split(line, ' ')) {
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = word.substr(0, equals);
    const std::string_view text = word.substr(equals + 1);
    double value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    if (key == "avg10") result.average_10 = value;
    if (key == "avg60") result.average_60 = value;
    if (key == "avg300") result.average_300 = value;
    if (key == "total") result.total_us = parse_unsigned(text).value_or(0);
  }
  return result;
}

std::optional<PressureDetails> read_pressure(int directory, const char* file) {
  const auto text = read_control(directory, file);
  if (!text) return std::nullopt;  // EOPNOTSUPP where it is turned off (psi=0)
  PressureDetails pressure;
  for (const std::string_view line : split(*text, '\n')) {
    if (line.starts_with("some ")) pressure.some = pressure_line(line);
    if (line.starts_with("full ")) pressure.full = pressure_line(line);
  }
  return pressure;
}

Number sum(const Number& left, const Number& right) {
  if (!left || !right) return std::nullopt;
  return *left == kUnlimited || *right == kUnlimited || *left > kUnlimited - *right ? kUnlimited : *left + *right;
}

void read_memory_v2(int directory, Details& details) {
  MemoryCount& memory = details.memory;
  memory.bytes = read_number(directory, "memory.current");
  if (!memory.bytes) return;
  details.is_v2 = true;
  memory.limit_bytes = read_number(directory, "memory.max");
  memory.peak_bytes = read_number(directory, "memory.peak");
  if (const auto events = read_control(directory, "memory.events")) memory.failures = flat_keyed(*events, "max");
  MemoryCount& both = details.memory_and_swap;
  both.bytes = sum(memory.bytes, read_number(directory, "memory.swap.current"));
  both.limit_bytes = sum(memory.limit_bytes, read_number(directory, "memory.swap.max"));
  if (const auto events = read_control(directory, "memory.swap.events")) both.failures = flat_keyed(*events, "max");
  read_flat(directory, "memory.stat", details.memory_stat);
}

void read_v2(const std::string& path, int directory, Details& details) {
  read_memory_v2(directory, details);
  read_io_stat(directory, details);
  read_hugetlb_v2(path, directory, details);
  if (exists_in(directory, "cpuset.cpus.effective")) {
    details.cpuset_cpus = first_line(directory, "cpuset.cpus.effective");
    details.cpuset_mems = first_line(directory, "cpuset.mems.effective");
  }
  details.cpu_pressure = read_pressure(directory, "cpu.pressure");
  details.memory_pressure = read_pressure(directory, "memory.pressure");
  details.io_pressure = read_pressure(directory, "io.pressure");
}

void read_cpuset_v1(int directory, Details& details) {
  if (!exists_in(directory, "cpuset.cpus")) return;
  details.cpuset_cpus = first_line(directory, "cpuset.cpus");
  details.cpuset_mems = first_line(directory, "cpuset.mems");
  for (const char* name : {"cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
                           "memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level"})
    if (const auto value = read_number(directory, (std::string("cpuset.") + name).c_str())) details.cpuset_flags[name] = *value;
}

void read_v1(const std::string& path, int directory, Details& details) {
  if (exists_in(directory, "memory.usage_in_bytes")) {
    details.memory = count_v1(directory, "memory");
    details.memory_and_swap = count_v1(directory, "memory.memsw");
    details.kernel_memory = count_v1(directory, "memory.kmem");
    details.tcp_memory = count_v1(directory, "memory.kmem.tcp");
    read_flat(directory, "memory.stat", details.memory_stat);
  }
  if (exists_in(directory, "cpuacct.usage")) read_percpu(directory, details);
  read_cpuset_v1(directory, details);
  if (exists_in(directory, "blkio.reset_stats")) {
    details.io_service_bytes = read_blkio(
        directory,
        {"blkio.bfq.io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"});
    details.io_serviced = read_blkio(
        directory, {"blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced"});
  }
  read_hugetlb_v1(path, directory, details);
}

}  // namespace

Result<Details> read_details(const Location& location) {
  Details details;
  details.usage = TRY(read_usage(location));
  if (!location.v2.path.empty())
    if (const auto directory = open_directory(location.v2.path)) read_v2(location.v2.path, directory->get(), details);
  for (const Location::Directory& leaf : location.v1)
    if (const auto directory = open_directory(leaf.path)) read_v1(leaf.path, directory->get(), details);
  return details;
}

}  // namespace clawrun::cgroup
