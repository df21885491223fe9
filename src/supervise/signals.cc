#include "supervise/signals.h"

#include <pthread.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <iterator>

namespace clawrun::supervise {

namespace {

constexpr int kForwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

}  // namespace

bool is_forwarded(int signal) {
  return std::ranges::find(kForwarded, signal) != std::end(kForwarded);
}

Result<ForwardedSignals> ForwardedSignals::open() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kForwarded) {
    // As nohup(1) has it. INT and QUIT are another matter: a shell that starts us in the background has them ignored, and
    // whoever then sends one means the command.
    struct sigaction action {};
    if (signal == SIGHUP && ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) continue;
    sigaddset(&set, signal);
  }
  ForwardedSignals signals;
  ::pthread_sigmask(SIG_BLOCK, &set, &signals.old_);
  signals.fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.fd_.valid()) return fail_errno("watching for signals");
  return signals;
}

ForwardedSignals::~ForwardedSignals() {
  if (fd_.valid()) ::pthread_sigmask(SIG_SETMASK, &old_, nullptr);
}

}  // namespace clawrun::supervise
