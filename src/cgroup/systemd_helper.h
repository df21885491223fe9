// Runs clawrun-systemd: one request, one answer, and a deadline that holds whatever the helper does.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/helper_program.h"

namespace clawrun::cgroup {

using sys::HelperProgram;

Result<HelperProgram> find_systemd_helper();

// Runs it with an empty environment and nothing open but the socket. It works in a process of many threads, whatever that
// process does about SIGCHLD and SIGPIPE. The answer is not to be trusted.
Result<std::string> ask_helper(const HelperProgram& program, std::string_view request, std::chrono::milliseconds limit);

// "10 s", "1500 ms".
std::string time_in_words(std::chrono::milliseconds time);

}  // namespace clawrun::cgroup
