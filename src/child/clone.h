// Starting a process on a stack of its own: clone3(2), and clone(2) where clone3 is refused.
#pragma once

#include <linux/sched.h>
#include <cstddef>

extern "C" {

// Calls `entry(argument)` in the new process, on the stack that `args` names. `entry` must not return.
// Returns the process id in the caller, or -errno.
long clawrun_clone3(clone_args* args, std::size_t size, void (*entry)(void*), void* argument);

// The same through clone(2); `stack_top` is the high end of the stack, 16-byte aligned; with CLONE_PIDFD the pidfd is
// written to `pidfd`.
long clawrun_clone(unsigned long flags, void* stack_top, int* pidfd, void (*entry)(void*), void* argument);
}
