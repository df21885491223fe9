// What floor.c does: the kernel operations of a sandbox with the default plan, and nothing else.
#ifndef CLAWRUN_FLOOR_H
#define CLAWRUN_FLOOR_H

#include <linux/filter.h>

#ifdef __cplusplus
extern "C" {
#endif

// Runs argv[0] of `root` and returns its wait status. By root or by an ordinary user. Not thread-safe: the process's dumpable
// attribute is changed meanwhile.
int floor_run(const char *root, char *const *argv, const struct sock_fprog *filter);

#ifdef __cplusplus
}
#endif

#endif
