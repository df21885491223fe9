// What --network allow needs: rules in a network namespace of the caller's own, and the gateway.
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "host/doctor_checks.h"
#include "host/probe.h"
#include "net/nftables.h"
#include "net/steering.h"
#include "sys/helper_program.h"

namespace clawrun::host {

namespace {

struct Requests {
  int protocol;
  std::string bytes;
};

struct Trial {
  Requests requests[3];
};

constexpr std::int32_t kStepNamespace = kFirstOwnStep;
constexpr std::int32_t kStepSocket = kFirstOwnStep + 1;
constexpr std::int32_t kStepRequests = kFirstOwnStep + 2;
constexpr const char* kWords[] = {"routes that make every address local", "nfnetlink_log", "nftables with tproxy and reject"};

// The first answer: an error, or the acknowledgement of the last request.
int answer_of(int fd) {
  struct {
    nlmsghdr header;
    nlmsgerr error;
    char quoted[256];
  } answer{};
  if (recv(fd, &answer, sizeof answer, 0) < 0) return errno;
  return answer.header.nlmsg_type == NLMSG_ERROR ? -answer.error.error : EPROTO;
}

void probe_steering(ProbePage& page) {
  const auto& trial = *static_cast<const Trial*>(page.input);
  if (!enter_user_namespace(page)) return;
  if (unshare(CLONE_NEWNET) != 0) {
    page.failed(kStepNamespace);
    return;
  }
  for (const Requests& requests : trial.requests) {
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, requests.protocol);
    if (fd < 0 || send(fd, requests.bytes.data(), requests.bytes.size(), 0) < 0) {
      page.failed(kStepSocket);
      return;
    }
    errno = answer_of(fd);
    if (errno != 0) {
      page.failed(kStepRequests);
      return;
    }
    ++page.next;
  }
}

Check steering() {
  constexpr auto kFamilies = net::Families::kV4;
  const Trial trial{{{NETLINK_ROUTE, net::address_requests(kFamilies)},
                     {NETLINK_NETFILTER, net::log_listener_requests(net::kLogGroup, net::kLogBytes)},
                     {NETLINK_NETFILTER, net::rule_requests(kFamilies, {})}}};
  const ProbeResult probe = run_probe(probe_steering, {.input = &trial});
  Check check{.id = "network.nftables", .title = "rules in an own network namespace", .status = Check::Status::kOk};
  check.found = "loaded in a trial";
  if (probe.ok()) return check;
  check.status = Check::Status::kMissing;
  const std::string what = probe.page.step >= kStepSocket ? kWords[probe.page.next % 3] : "its namespaces";
  check.found = what + ": refused with " + errno_text(probe.error());
  check.lost = "--network allow";
  check.remedy = "sudo modprobe -a nf_tables nft_tproxy nft_reject_inet nfnetlink_log";
  return check;
}

Check gateway() {
  const auto program = sys::find_helper("gateway");
  Check check{.id = "network.gateway", .title = "clawrun-gateway", .status = Check::Status::kOk};
  if (program) {
    check.found = program->path;
    return check;
  }
  check.status = Check::Status::kMissing;
  check.found = program.error().message;
  check.lost = "--network allow";
  check.remedy = "build clawrun with -Dgateway=enabled";
  return check;
}

}  // namespace

void check_network(const DoctorContext& /*context*/, Checks& out) {
  out.push_back(steering());
  out.push_back(gateway());
}

}  // namespace clawrun::host
