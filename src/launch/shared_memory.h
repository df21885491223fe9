// While something changes what all threads of the process share: their dumpable flag; and while no signal handler may run.
#pragma once

#include <pthread.h>
#include <sys/prctl.h>

#include <csignal>
#include <mutex>

namespace clawrun::launch {

// A child that has not executed yet shares our memory: a signal handler of the host must not run in it. A change of uid, its own
// or that of a thread, clears the dumpable flag, which the last of several threads that do so at the same time gives back.
class SharedMemoryGuard {
 public:
  SharedMemoryGuard() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &old_);
    const std::lock_guard lock(mutex_);
    if (users_++ == 0) dumpable_ = ::prctl(PR_GET_DUMPABLE);
  }
  SharedMemoryGuard(const SharedMemoryGuard&) = delete;
  SharedMemoryGuard& operator=(const SharedMemoryGuard&) = delete;
  ~SharedMemoryGuard() {
    {
      const std::lock_guard lock(mutex_);
      if (--users_ == 0 && dumpable_ >= 0 && ::prctl(PR_GET_DUMPABLE) != dumpable_) ::prctl(PR_SET_DUMPABLE, dumpable_);
    }
    ::pthread_sigmask(SIG_SETMASK, &old_, nullptr);
  }

 private:
  static inline std::mutex mutex_;
  static inline int users_ = 0;
  static inline int dumpable_ = -1;
  sigset_t old_{};
};

}  // namespace clawrun::launch
