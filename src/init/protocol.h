// What init and its supervisor say to each other.
#pragma once

namespace clawrun::init {

// Descriptors that init finds open, and nothing else.
inline constexpr int kControlFd = 3;  // SOCK_SEQPACKET: end of file means that the supervisor is gone
inline constexpr int kGateFd = 4;     // closed as soon as init runs: the command may be executed

inline constexpr int kLingerFd = 5;  // the control socket again, where init is to end only when it is told so

// A timer, where there is a deadline: when it has expired everything ends, whatever the supervisor is doing. The supervisor, which
// ends the command more gently before that, may be a host program that is stuck.
inline constexpr int kDeadlineFd = 6;

// The one message that init sends: the wait status of the command, as wait4(2) gave it.
struct Status {
  int wait_status = 0;
};

}  // namespace clawrun::init
