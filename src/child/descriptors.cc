#include <sys/socket.h>

#include "child/internal.h"

namespace clawrun::child {

namespace {

constexpr long kEproto = -71;

// iovec(3type) and the room for some descriptors: unix(7), cmsg(3).
template <std::size_t kMost>
struct DescriptorMessage {
  char byte = 'f';
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(kMost * sizeof(int))] = {};
  msghdr header{};

  DescriptorMessage() {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
  }
};

struct DirectoryEntry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t size;
  std::uint8_t type;
  char name[1];
};

int number_of(const char* name) {
  int value = 0;
  for (; *name != '\0'; ++name) {
    if (*name < '0' || *name > '9') return -1;
    value = value * 10 + (*name - '0');
  }
  return value;
}

bool contains(const int* keep, std::size_t count, int fd) {
  for (std::size_t i = 0; i < count; ++i)
    if (keep[i] == fd) return true;
  return false;
}

// Without close_range(2) (before Linux 5.9): what /proc/self/fd lists. Read again until a pass closes nothing, since
// closing while reading may skip an entry.
void close_listed(const ChildPlan& plan, const int* keep, std::size_t count) {
  const long directory =
      must(plan, Step::kCloseFds, sys(__NR_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (bool again = true; again;) {
    again = false;
    must(plan, Step::kCloseFds, sys(__NR_lseek, directory, 0, 0));
    alignas(8) char buffer[4096];
    for (;;) {
      const long size = must(plan, Step::kCloseFds, sys(__NR_getdents64, directory, buffer, sizeof buffer));
      if (size == 0) break;
      for (long at = 0; at < size;) {
        const auto* entry = reinterpret_cast<const DirectoryEntry*>(buffer + at);
        at += entry->size;
        const int fd = number_of(entry->name);
        if (fd <= 2 || fd == directory || contains(keep, count, fd)) continue;
        sys(__NR_close, fd);
        again = true;
      }
    }
  }
  sys(__NR_close, directory);
}

}  // namespace

long send_descriptor(int socket, int fd) {
  DescriptorMessage<1> message;
  auto* control = reinterpret_cast<cmsghdr*>(message.control);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof(int));
  *reinterpret_cast<int*>(CMSG_DATA(control)) = fd;
  return sys(__NR_sendmsg, socket, &message.header, MSG_NOSIGNAL);
}

long receive_descriptor(int socket) {
  DescriptorMessage<1> message;
  long size = 0;
  do {
    size = sys(__NR_recvmsg, socket, &message.header, MSG_CMSG_CLOEXEC);
  } while (size == kEintr);
  if (size < 0) return size;
  const auto* control = reinterpret_cast<const cmsghdr*>(message.control);
  if (size != 1 || message.header.msg_controllen < sizeof(cmsghdr) || control->cmsg_type != SCM_RIGHTS) return kEproto;
  return *reinterpret_cast<const int*>(CMSG_DATA(control));
}

long receive_streams(int socket) {
  // The kernel gives out the lowest numbers first: no call is needed to put them into their places.
  for (int fd = 0; fd <= 2; ++fd) sys(__NR_close, fd);
  DescriptorMessage<4> message;
  long size = 0;
  do {
    size = sys(__NR_recvmsg, socket, &message.header, 0);
  } while (size == kEintr);
  // End of file: nobody is there any more to claim, or to read a report.
  if (size == 0) sys(__NR_exit_group, 1);
  if (size < 0) return size;
  const auto* control = reinterpret_cast<const cmsghdr*>(message.control);
  if (message.header.msg_controllen < CMSG_LEN(3 * sizeof(int)) || control->cmsg_type != SCM_RIGHTS) return kEproto;
  const auto* fds = reinterpret_cast<const int*>(CMSG_DATA(control));
  for (int fd = 0; fd <= 2; ++fd)
    if (fds[fd] != fd) return kEproto;
  return control->cmsg_len >= CMSG_LEN(4 * sizeof(int)) ? fds[3] : kNoDescriptor;
}

void close_all_but(const ChildPlan& plan, const int* keep, std::size_t count) {
  if (!plan.has_close_range) return close_listed(plan, keep, count);
  unsigned from = 3;
  for (std::size_t i = 0; i <= count; ++i) {
    const unsigned end = i < count ? static_cast<unsigned>(keep[i]) : ~0U;
    if (i == count) {
      must(plan, Step::kCloseFds, sys(__NR_close_range, from, ~0U, 0));
    } else if (end > from) {
      must(plan, Step::kCloseFds, sys(__NR_close_range, from, end - 1, 0));
    }
    from = end + 1;
  }
}

}  // namespace clawrun::child
