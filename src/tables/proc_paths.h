// What of /proc is hidden from a sandbox, and what may only be read: the field's standard lists.
#pragma once

namespace clawrun::tables {

// Kernel memory, hardware and other users' data, or files that change the whole machine when they are opened.
// /proc/kmsg and /proc/kallsyms are not here: the kernel itself gives them to CAP_SYSLOG of the host alone.
inline constexpr const char* kMaskedPaths[] = {"/proc/acpi",  "/proc/asound",     "/proc/cmdline",       "/proc/interrupts",
                                               "/proc/kcore", "/proc/keys",       "/proc/latency_stats", "/proc/sched_debug",
                                               "/proc/scsi",  "/proc/timer_list", "/proc/timer_stats"};

inline constexpr const char* kReadOnlyPaths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

}  // namespace clawrun::tables
