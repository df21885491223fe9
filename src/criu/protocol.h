// What the command and its helper program for CRIU say to each other: packets over a SOCK_SEQPACKET socket, the helper's
// descriptor 0.
#pragma once

#include <cstddef>
#include <string_view>

// The request is one packet, and its descriptors come with it (unix(7) SCM_RIGHTS). It consists of records, each ended by a byte
// 0, so that a path may have any other byte:
//   kGreeting                of the same version
//   dump | pre-dump | restore
//   bind_root<TAB>DIR        in a mount namespace of the helper's own DIR is bound at the path that `root` names: CRIU wants a
//   mount OPTION<TAB>VALUE         of criu_opts in CRIU's rpc.proto; a descriptor's value is its place among those of the packet
//   cg_root<TAB>CONTROLLERS<TAB>PATH, inherit_fd<TAB>PLACE<TAB>KEY, ps<TAB>PORT<TAB>ADDRESS
//
// The helper answers with any number of
//   notify<TAB>PID<TAB>SCRIPT    which may carry one descriptor; it is answered with kGo or kStop
// and at last with one of
//   done<TAB>PID                 of the restored process; 0 after a dump
//   error<TAB>WHAT<TAB>ERRNO<TAB>WORDS
namespace clawrun::criu::protocol {

inline constexpr std::string_view kGreeting = "clawrun-criu " CLAWRUN_VERSION;
inline constexpr std::size_t kLargestMessage = 131'072;
inline constexpr std::size_t kMostDescriptors = 16;

inline constexpr std::string_view kGo = "go";
inline constexpr std::string_view kStop = "stop";

inline constexpr std::string_view kReading = "request";  // the request itself is not understood: a mistake of ours
inline constexpr std::string_view kMissing = "missing";  // there is no criu
inline constexpr std::string_view kStarting = "start";   // what comes before CRIU failed
inline constexpr std::string_view kDied = "died";        // CRIU ended without an answer
inline constexpr std::string_view kRefused = "refused";  // CRIU failed, and its log says why
inline constexpr std::string_view kStopped = "stopped";  // after a kStop

}  // namespace clawrun::criu::protocol
