#include "launch/flatten.h"

#include <linux/sched.h>
#include <sys/socket.h>

namespace clawrun::launch {

namespace {

void add_strings(std::vector<const char*>& list, const std::vector<std::string>& strings) {
  for (const std::string& text : strings) list.push_back(text.c_str());
  list.push_back(nullptr);
}

}  // namespace

FlatPlan::FlatPlan(const plan::Plan& plan) {
  for (const plan::Operation& from : plan.operations) {
    child::Operation op;
    op.op = from.op;
    op.recursive = from.recursive;
    op.no_follow = from.no_follow;
    op.mode = from.mode;
    op.attr_set = from.attr_set;
    op.source = from.source.c_str();
    op.target = from.target.c_str();
    if (!from.options.empty()) {
      std::vector<const char*>& list = lists_.emplace_back();
      for (const auto& [key, value] : from.options) {
        list.push_back(key.c_str());
        list.push_back(value.c_str());
      }
      list.push_back(nullptr);
      op.options = list.data();
    }
    if (from.data) {
      op.data = from.data->data();
      op.size = from.data->size();
    }
    operations.push_back(op);
  }
  for (const plan::LandlockRule& rule : plan.landlock.rules)
    rules_.push_back({rule.path.empty() ? nullptr : rule.path.c_str(), rule.fd, rule.access});
  for (const std::vector<sock_filter>& filter : plan.filters)
    filters_.push_back({filter.data(), static_cast<std::uint16_t>(filter.size())});

  child.has_openat2 = plan.has_openat2;
  child.has_close_range = plan.has_close_range;
  child.change_identity = plan.change_identity;
  child.drop_groups = plan.drop_groups;
  child.new_cgroup_namespace = (plan.clone_flags & CLONE_NEWCGROUP) != 0;
  child.core_scheduling = plan.core_scheduling;
  child.uid = plan.uid;
  child.gid = plan.gid;
  child.operations = operations.data();
  child.operation_count = operations.size();
  child.terminal = plan.streams[0] == plan::Stream::kTerminal;
  child.new_network_namespace = plan.new_network.has_value();
  if (plan.new_network) flatten(*plan.new_network);
  child.new_time_namespace = plan.new_time_namespace;
  child.rlimits = plan.rlimits.data();
  child.rlimit_count = plan.rlimits.size();
  child.umask = plan.umask;
  child.workdir = plan.workdir.c_str();
  child.keep_capabilities = plan.keep_capabilities;
  child.last_capability = plan.last_capability;
  child.landlock = {plan.landlock.enabled, plan.landlock.handled_fs,    plan.landlock.handled_net,
                    plan.landlock.scoped,  plan.landlock.attr_size,     rules_.data(),
                    rules_.size(),         plan.landlock.command_access};
  child.filters = filters_.data();
  child.filter_count = filters_.size();
  child.filter_flags = plan.seccomp_flags;
  child.filters_allow_read = plan.filters_allow_read;
  child.preserve_fds = plan.preserve_fds.data();
  child.preserve_fd_count = plan.preserve_fds.size();
  set_command(plan.candidates, plan.argv, plan.environment);
  child.stages_ns = stages_ns;
}

void FlatPlan::set_command(const std::vector<std::string>& candidates, const std::vector<std::string>& argv,
                           const std::vector<std::string>& environment) {
  add_strings(lists_.emplace_back(), candidates);
  child.candidates = lists_.back().data();
  add_strings(lists_.emplace_back(), argv);
  child.argv = lists_.back().data();
  add_strings(lists_.emplace_back(), environment);
  child.envp = lists_.back().data();
}

void FlatPlan::flatten(const plan::NewNetwork& network) {
  for (const plan::NetlinkRequests& from : network.requests)
    requests_.push_back({from.protocol, from.bytes.data(), from.bytes.size(), from.send_out});
  for (const net::Listener& from : network.listeners) {
    const bool is_stream = from.role != net::Listener::Role::kUdp && from.role != net::Listener::Role::kDnsUdp;
    sockets_.push_back({from.family, is_stream ? SOCK_STREAM : SOCK_DGRAM, from.address.data(), from.address.size()});
  }
  child.network_requests = requests_.data();
  child.network_request_count = requests_.size();
  child.gateway_sockets = sockets_.data();
  child.gateway_socket_count = sockets_.size();
  child.gateway_mark = net::kGatewayMark;
}

}  // namespace clawrun::launch
