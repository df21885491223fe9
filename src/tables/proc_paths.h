// What of /proc is hidden from a sandbox, and what may only be read: the field's standard lists.
#pragma once

namespace clawrun::tables {

// Kernel memory, hardware and other users' data, or files that change the whole machine when they are opened.
inline constexpr const char* kMaskedPaths[] = {
    "/proc/acpi",       "/proc/asound",     "/proc/interrupts", "/proc/kcore",     "/proc/keys",
    "/proc/key-users",  "/proc/kmsg",       "/proc/kallsyms",   "/proc/latency_stats", "/proc/sched_debug",
    "/proc/scsi",       "/proc/timer_list", "/proc/timer_stats", "/proc/sysrq-trigger"};

inline constexpr const char* kReadOnlyPaths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"};

}  // namespace clawrun::tables
