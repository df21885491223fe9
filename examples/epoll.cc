// A sandbox in an event loop: its output is read as it comes, beside whatever else the loop waits for.
#include <clawrun/clawrun.hpp>

#include <sys/epoll.h>
#include <unistd.h>

#include <cstdio>

namespace {

int give_up(const clawrun::LibraryError& error) {
  std::fprintf(stderr, "epoll: %s\n", error.message.c_str());
  return 1;
}

void watch(int loop, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  ::epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
}

}  // namespace

int main() {
  clawrun::Sandbox spec;
  if (auto set = spec.set("timeout", "10s"); !set) return give_up(set.error());
  if (auto set = spec.command({"sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.1; done"}); !set)
    return give_up(set.error());
  auto running = spec.spawn({clawrun::stream::kNull, clawrun::stream::kPipe, clawrun::stream::kInherit});
  if (!running) return give_up(running.error());

  const int loop = ::epoll_create1(EPOLL_CLOEXEC);
  int output = running->take_stream(1);
  watch(loop, running->fd());
  watch(loop, output);
  for (bool ended = false; !ended || output >= 0;) {
    epoll_event event{};
    if (::epoll_wait(loop, &event, 1, -1) != 1) continue;
    if (event.data.fd == running->fd()) {
      const auto processed = running->process();
      if (!processed) return give_up(processed.error());
      ended = *processed;
      if (ended) ::epoll_ctl(loop, EPOLL_CTL_DEL, running->fd(), nullptr);
      continue;
    }
    char buffer[4096];
    const ssize_t size = ::read(output, buffer, sizeof buffer);
    if (size > 0) std::printf("got %.*s", static_cast<int>(size), buffer);
    if (size != 0) continue;
    ::close(output);
    output = -1;
  }
  ::close(loop);
  std::printf("exit code %d\n", running->outcome().exit_code);
  return 0;
}
