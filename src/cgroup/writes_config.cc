#include "cgroup/writes_config.h"

#include <algorithm>

#include "base/text.h"

namespace clawrun::cgroup {

namespace {

std::string text_v2(std::uint64_t value) {
  return value == kUnlimited ? "max" : std::to_string(value);
}
std::string text_v1(std::uint64_t value) {
  return value == kUnlimited ? "-1" : std::to_string(value);
}

Failure only_v1(const char* setting) {
  return fail(ErrorKind::kUnsupported, name_of(setting, AskedBy::kConfig) +
                                           ": cgroup v2 has nothing of the kind, and no hierarchy of cgroup v1 with it is in use "
                                           "here; leave it out, or boot with cgroup v1");
}

// bfq takes 1..1000 as they are.
void add_weights_v2(const Limits& limits, std::vector<Write>& into) {
  if (limits.blkio_weight) {
    Write write{"io", "io.bfq.weight", std::to_string(*limits.blkio_weight), "blockIO.weight"};
    write.other_file = "io.weight";
    write.other_value = "default " + std::to_string(io_weight_of_blkio(*limits.blkio_weight));
    into.push_back(std::move(write));
  }
  for (const DeviceWeight& device : limits.blkio_device_weights) {
    if (!device.weight) continue;
    Write write{"io", "io.bfq.weight", device.device + " " + std::to_string(*device.weight), "blockIO.weightDevice"};
    write.other_file = "io.weight";
    write.other_value = device.device + " " + std::to_string(io_weight_of_blkio(*device.weight));
    into.push_back(std::move(write));
  }
}

void add_weights_v1(const Limits& limits, std::vector<Write>& into) {
  // CFQ, which had the first names and the leaf weights, left with Linux 5.0.
  const auto add = [&](const char* file, const char* bfq_file, const std::string& value, const char* setting) {
    Write write{"io", file, value, setting};
    write.other_file = bfq_file;
    write.other_value = value;
    into.push_back(std::move(write));
  };
  if (limits.blkio_weight) add("blkio.weight", "blkio.bfq.weight", std::to_string(*limits.blkio_weight), "blockIO.weight");
  if (limits.blkio_leaf_weight)
    into.push_back({"io", "blkio.leaf_weight", std::to_string(*limits.blkio_leaf_weight), "blockIO.leafWeight"});
  for (const DeviceWeight& device : limits.blkio_device_weights) {
    if (device.weight)
      add("blkio.weight_device", "blkio.bfq.weight_device", device.device + " " + std::to_string(*device.weight),
          "blockIO.weightDevice");
    if (device.leaf_weight)
      into.push_back(
          {"io", "blkio.leaf_weight_device", device.device + " " + std::to_string(*device.leaf_weight), "blockIO.weightDevice"});
  }
}

// The reservation is what a page fault may take; what is reserved at mmap(2) is a count of its own since Linux 5.7.
void add_hugetlb(const Limits& limits, const char* suffix, std::string (*text)(std::uint64_t), std::vector<Write>& into) {
  for (const HugetlbMax& limit : limits.hugetlb) {
    const std::string stem = "hugetlb." + limit.page_size;
    into.push_back({"hugetlb", stem + "." + suffix, text(limit.bytes), "hugepageLimits"});
    into.push_back({"hugetlb", stem + ".rsvd." + suffix, text(limit.bytes), "hugepageLimits", true});
  }
}

void add_rdma(const Limits& limits, std::vector<Write>& into) {
  for (const RdmaMax& limit : limits.rdma) {
    std::string line = limit.device;
    if (limit.handles) line += " hca_handle=" + std::to_string(*limit.handles);
    if (limit.objects) line += " hca_object=" + std::to_string(*limit.objects);
    into.push_back({"rdma", "rdma.max", std::move(line), "rdma"});
  }
}

// kernel.org, cgroup-v2, "cpu.max": one number alone keeps the period, and no period is taken without a quota.
void add_cpu_v2(const Limits& limits, std::vector<Write>& into) {
  const auto burst = [&] {
    Write write{"cpu", "cpu.max.burst", std::to_string(*limits.cpu_burst_us), "cpu.burst"};
    write.may_wait = true;  // it may not be above the quota
    return write;
  };
  if (limits.cpu_burst_us) into.push_back(burst());
  if (limits.cpu_quota_us || limits.cpu_named_period_us) {
    std::string value = text_v2(limits.cpu_quota_us.value_or(kUnlimited));
    if (limits.cpu_named_period_us) value += " " + std::to_string(*limits.cpu_named_period_us);
    into.push_back({"cpu", "cpu.max", std::move(value), limits.cpu_quota_us ? "cpus" : "cpu.period"});
  }
}

// A group that is idle takes no weight, and forgets the one it had.
void add_idle(const Limits& limits, std::vector<Write>& into) {
  if (!limits.cpu_idle) return;
  const Write write{"cpu", "cpu.idle", *limits.cpu_idle ? "1" : "0", "cpu.idle"};
  const auto is_weight = [](const Write& other) { return other.file == "cpu.weight" || other.file == "cpu.shares"; };
  if (*limits.cpu_idle) std::erase_if(into, is_weight);
  into.insert(*limits.cpu_idle ? into.end() : into.begin(), write);
}

void add_cpu_v1(const Limits& limits, std::vector<Write>& into) {
  const auto add = [&](const char* file, std::string value, const char* setting, bool may_wait) {
    Write write{"cpu", file, std::move(value), setting};
    write.may_wait = may_wait;
    into.push_back(std::move(write));
  };
  if (limits.cpu_rt_period_us) add("cpu.rt_period_us", std::to_string(*limits.cpu_rt_period_us), "cpu.realtimePeriod", true);
  if (limits.cpu_rt_runtime_us) add("cpu.rt_runtime_us", std::to_string(*limits.cpu_rt_runtime_us), "cpu.realtimeRuntime", false);
  if (limits.cpu_burst_us) add("cpu.cfs_burst_us", std::to_string(*limits.cpu_burst_us), "cpu.burst", true);
  // A shorter period with the old quota may be more than the group above has.
  if (limits.cpu_named_period_us) add("cpu.cfs_period_us", std::to_string(*limits.cpu_named_period_us), "cpu.period", true);
  if (limits.cpu_quota_us) add("cpu.cfs_quota_us", text_v1(*limits.cpu_quota_us), "cpus", false);
}

}  // namespace

void add_config_v2(const Limits& limits, std::vector<Write>& into) {
  if (limits.memory_low_bytes) into.push_back({"memory", "memory.low", text_v2(*limits.memory_low_bytes), "memory.reservation"});
  // No swap at all, or as much as there is, is what a kernel without swap gives.
  for (Write& write : into)
    if (write.file == "memory.swap.max") write.optional = write.value == "max" || write.value == "0";
  add_cpu_v2(limits, into);
  add_idle(limits, into);
  if (limits.cpuset_mems) into.push_back({"cpuset", "cpuset.mems", *limits.cpuset_mems, "cpu.mems"});
  add_weights_v2(limits, into);
  add_hugetlb(limits, "max", text_v2, into);
  add_rdma(limits, into);
}

Result<> check_v2(const Limits& limits) {
  if (limits.memory_tcp_bytes && *limits.memory_tcp_bytes != kUnlimited) return only_v1("memory.kernelTCP");
  if (limits.swappiness) return only_v1("memory.swappiness");
  if (limits.oom_kill_disabled.value_or(false)) return only_v1("memory.disableOOMKiller");
  if (limits.cpu_rt_period_us) return only_v1("cpu.realtimePeriod");
  if (limits.cpu_rt_runtime_us) return only_v1("cpu.realtimeRuntime");
  if (limits.blkio_leaf_weight) return only_v1("blockIO.leafWeight");
  for (const DeviceWeight& device : limits.blkio_device_weights)
    if (device.leaf_weight) return only_v1("blockIO.weightDevice.leafWeight");
  if (limits.net_class_id) return only_v1("network.classID");
  if (!limits.net_priorities.empty()) return only_v1("network.priorities");
  return {};
}

Result<> settle_swap(Limits& limits, std::optional<std::uint64_t> memory_now_bytes) {
  if (!limits.memory_and_swap_bytes || limits.memory_swap_bytes) return {};
  const std::uint64_t both = *limits.memory_and_swap_bytes;
  const std::uint64_t memory = limits.memory_bytes.value_or(memory_now_bytes.value_or(kUnlimited));
  const std::string name = name_of("memory-swap", AskedBy::kConfig);
  if (both != kUnlimited && memory == kUnlimited)
    return fail(ErrorKind::kInvalid, name + ": unable to set swap limit without memory limit; give memory.limit too");
  if (both != kUnlimited && both < memory)
    return fail(ErrorKind::kInvalid, name + ": it counts memory and swap together, and " + std::to_string(both) +
                                         " is less than memory.limit, " + std::to_string(memory));
  limits.memory_swap_bytes = both == kUnlimited ? kUnlimited : both - memory;
  return {};
}

Result<> add_memory_config_v1(const Limits& limits, std::uint64_t before_bytes, std::vector<Write>& into) {
  std::optional<std::uint64_t> both = limits.memory_and_swap_bytes;
  if (!both && limits.memory_bytes == kUnlimited) both = kUnlimited;
  const Write limit{"memory", "memory.limit_in_bytes", text_v1(limits.memory_bytes.value_or(0)), "memory"};
  const Write sum{"memory", "memory.memsw.limit_in_bytes", text_v1(both.value_or(0)), "memory-swap", both == kUnlimited};
  // memory.limit_in_bytes is never above memory.memsw.limit_in_bytes, the old ones and the new ones.
  const bool sum_first = both && *both >= before_bytes;
  if (sum_first) into.push_back(sum);
  if (limits.memory_bytes) into.push_back(limit);
  if (both && !sum_first) into.push_back(sum);
  return {};
}

Result<> add_config_v1(const Limits& limits, std::vector<Write>& into) {
  if (!limits.unified.empty())
    return fail(ErrorKind::kUnsupported, "linux.resources.unified: " + quoted(limits.unified.front().first) +
                                             ": unified: only with cgroup v2, and this host has its controller in cgroup v1");
  if (limits.cpu_shares && (*limits.cpu_shares < 2 || *limits.cpu_shares > 262'144))
    return fail(ErrorKind::kInvalid,
                "linux.resources.cpu.shares: " + std::to_string(*limits.cpu_shares) + ": the " +
                    (*limits.cpu_shares < 2 ? "minimum allowed cpu-shares is 2" : "maximum allowed cpu-shares is 262144"));
  if (limits.memory_low_bytes)
    into.push_back({"memory", "memory.soft_limit_in_bytes", text_v1(*limits.memory_low_bytes), "memory.reservation"});
  if (limits.memory_tcp_bytes)
    into.push_back({"memory", "memory.kmem.tcp.limit_in_bytes", text_v1(*limits.memory_tcp_bytes), "memory.kernelTCP"});
  if (limits.swappiness) into.push_back({"memory", "memory.swappiness", std::to_string(*limits.swappiness), "memory.swappiness"});
  if (limits.oom_kill_disabled)
    into.push_back({"memory", "memory.oom_control", *limits.oom_kill_disabled ? "1" : "0", "memory.disableOOMKiller"});
  add_cpu_v1(limits, into);
  add_idle(limits, into);
  if (limits.cpuset_mems) into.push_back({"cpuset", "cpuset.mems", *limits.cpuset_mems, "cpu.mems"});
  add_weights_v1(limits, into);
  add_hugetlb(limits, "limit_in_bytes", text_v1, into);
  if (limits.net_class_id)
    into.push_back({"net_cls", "net_cls.classid", std::to_string(*limits.net_class_id), "network.classID"});
  for (const NetPriority& row : limits.net_priorities)
    into.push_back({"net_prio", "net_prio.ifpriomap", row.interface + " " + std::to_string(row.priority), "network.priorities"});
  add_rdma(limits, into);
  return {};
}

void add_config_asked(const Limits& limits, std::vector<Asked>& into) {
  const auto add = [&](bool asked, const char* controller, const char* setting) {
    if (asked) into.push_back({controller, setting});
  };
  const auto is_set = [](const std::optional<std::uint64_t>& value) { return value && *value != kUnlimited; };
  add(is_set(limits.memory_low_bytes), "memory", "memory.reservation");
  add(is_set(limits.memory_and_swap_bytes) && !limits.memory_swap_bytes, "memory", "memory-swap");
  add(is_set(limits.memory_tcp_bytes), "memory", "memory.kernelTCP");
  add(limits.swappiness.has_value(), "memory", "memory.swappiness");
  add(limits.oom_kill_disabled.value_or(false), "memory", "memory.disableOOMKiller");
  add(limits.cpu_named_period_us && !limits.cpu_quota_us, "cpu", "cpu.period");
  add(limits.cpu_burst_us.value_or(0) != 0, "cpu", "cpu.burst");
  add(limits.cpu_rt_runtime_us.has_value(), "cpu", "cpu.realtimeRuntime");
  add(limits.cpu_rt_period_us.has_value(), "cpu", "cpu.realtimePeriod");
  add(limits.cpu_idle.value_or(false), "cpu", "cpu.idle");
  add(limits.cpuset_mems.has_value(), "cpuset", "cpu.mems");
  add(limits.blkio_weight.has_value(), "io", "blockIO.weight");
  add(limits.blkio_leaf_weight.has_value(), "io", "blockIO.leafWeight");
  add(!limits.blkio_device_weights.empty(), "io", "blockIO.weightDevice");
  add(!limits.hugetlb.empty(), "hugetlb", "hugepageLimits");
  add(limits.net_class_id.has_value(), "net_cls", "network.classID");
  add(!limits.net_priorities.empty(), "net_prio", "network.priorities");
  add(!limits.rdma.empty(), "rdma", "rdma");
  for (const auto& [file, value] : limits.unified) into.push_back({controller_of_file(file), "unified"});
}

void keep_config_only(Limits& limits, const std::vector<std::string>& controllers) {
  const auto has = [&](std::string_view name) { return std::ranges::find(controllers, name) != controllers.end(); };
  if (!has("memory")) {
    limits.memory_low_bytes.reset();
    limits.memory_and_swap_bytes.reset();
    limits.memory_tcp_bytes.reset();
    limits.swappiness.reset();
    limits.oom_kill_disabled.reset();
  }
  if (!has("cpu")) {
    limits.cpu_named_period_us.reset();
    limits.cpu_burst_us.reset();
    limits.cpu_rt_runtime_us.reset();
    limits.cpu_rt_period_us.reset();
    limits.cpu_idle.reset();
  }
  if (!has("cpuset")) limits.cpuset_mems.reset();
  if (!has("io")) {
    limits.blkio_weight.reset();
    limits.blkio_leaf_weight.reset();
    limits.blkio_device_weights.clear();
  }
  if (!has("hugetlb")) limits.hugetlb.clear();
  if (!has("net_cls")) limits.net_class_id.reset();
  if (!has("net_prio")) limits.net_priorities.clear();
  if (!has("rdma")) limits.rdma.clear();
  std::erase_if(limits.unified, [&](const auto& entry) { return !has(controller_of_file(entry.first)); });
}

std::uint32_t io_weight_of_blkio(std::uint32_t weight) {
  return 1 + ((std::clamp(weight, 10U, 1000U) - 10) * 9999 / 990);
}

std::string controller_of_file(std::string_view file) {
  const std::string_view name = file.substr(0, file.find('.'));
  return name == "cgroup" || file.ends_with(".pressure") ? "" : std::string(name);
}

}  // namespace clawrun::cgroup
