// This program's file on the host, kept out of the reach of what runs in a container (CVE-2019-5736).
//
// Until its execve(2) a container's process is this program: an image whose command, or whose script's first line, is
// /proc/self/exe has it executed inside, and whoever may trace a process there can open /proc/PID/exe. Who has opened it may open
// it again for writing, with root's rights over the file, once nobody executes it any more.
#pragma once

#include <string>

#include "base/result.h"

namespace clawrun::sys {

// Executes this program again, with the same arguments, from a read-only detached mount of its file (open_tree(2),
// mount_setattr(2)), where such a mount is refused from a sealed copy in memory. The mount leaves with the descriptor, so that
// nobody can make it writable; it costs one more execve(2), and no memory. Returns where that was done already (cli/before_libc.cc is quicker), or where the file
// is none that this user can write. Before anything is opened or started that has to stay.
Result<> leave_own_file();

// How the path gets over the second execve(2): by then the link of /proc/self/exe says "/".
constexpr char kOwnPathVariable[] = "CLAWRUN_OWN_PATH";

// Where this program was started from, leave_own_file() or not; empty where that cannot be said.
std::string own_path();

}  // namespace clawrun::sys
