// What the supervisor hands to clawrun-gateway, and what it hears from it.
#pragma once

#include <cstddef>
#include <string_view>

// The gateway is given one JSON text on descriptor 3, which it reads to its end before it does anything, and the descriptors that
// the text names; it closes all others but 2. A member that is not listed here is refused.
//
//   {"sandbox": "ID",
//    "sockets": {"tcp": [fd…], "udp": [fd…], "dns_udp": [fd…], "dns_tcp": [fd…], "proxy": [fd…]},
//    "events": fd, "lifeline": fd,
//    "allow": [{"host": "…", "ports": [[443, 443]], "protocol": "tcp", "rule": "as given"}], "deny": [as allow],
//    "synthetic4": "198.18.0.0/16", "synthetic6": "fd63:6c61:7772:1::/64",
//    "resolvers": ["192.0.2.53:53"],
//    "limits": {"connections": 1024, "connect_timeout_ms": 10000, "rate_bytes_per_s": 0, "max_bytes": 0, "idle_timeout_ms": 0},
//    "inject": [{"host": "…", "header": "Authorization", "credential": "NAME", "tls": false}],
//    "credentials": {"NAME": fd}, "ca": {"cert_fd": fd, "key_fd": fd},
//    "trust_file": "/etc/ssl/certs/ca-certificates.crt",
//    "uid": 65534, "gid": 65534}
//
// Needed: sandbox, sockets, events, lifeline. `uid` and `gid` are what the gateway becomes where it is started as root.
//
// sockets   bound inside the sandbox's network namespace, one address family each; any list may be empty or absent.
//   tcp     listening. The destination is SO_ORIGINAL_DST (a nat redirect), else the local address of the accepted connection
//   (AnyIP). udp     the destination is what IP_RECVORIGDSTADDR says, and an answer leaves the same socket from that address: a
//   socket for each port that
//           a rule allows, bound to the wildcard address of a namespace where every address is local (AnyIP), with no redirect.
//           To other ports the kernel then answers ICMP port unreachable by itself. To a destination that is refused nothing is
//           answered.
//   dns_*   what arrives at them is answered whatever its destination was; redirected or AnyIP.
//   proxy   listening at the fixed address of --proxy-env: HTTP CONNECT, absolute-form requests, SOCKS5.
// events    the write end of a pipe. JSON lines, none longer than PIPE_BUF; the first is {"event":"ready","connections":N}, N
// being the
//           limit that the descriptors of this process allow. {"event":"error","message":"…"} instead, and exit status 1, where
//           it cannot start. {"event":"dropped","count":N}: that many lines found the pipe full. All others are decisions.
// lifeline  the read end of a pipe: at its end of file every open connection is said, and the gateway ends with status 0.
//
// A decision: {"time":"RFC 3339 ms","host":"name"|null,"address":"ip"|null,"port":n,"protocol":"tcp|udp|dns","verdict":
// "allowed|denied|failed","rule":"…"|null,"reason":"…"|null,"bytes_up":n,"bytes_down":n,"duration_ms":n}. Of what is refused or
// fails at once; of a connection or flow that was allowed when it ends; of a name that a wildcard
// allows, the first time that it is given an address.
namespace clawrun::gateway {

inline constexpr int kRequestFd = 3;
inline constexpr std::size_t kMaxRequestBytes = std::size_t{1} << 20U;
inline constexpr std::string_view kHostName = "host.clawrun.internal";  // 127.0.0.1 of the host, where a rule names it

}  // namespace clawrun::gateway
