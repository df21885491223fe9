// CRIU's requests and answers as bytes: rpc.proto of CRIU. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace clawrun::criu {

// criu_req_type.
enum class Type : std::uint8_t { kEmpty = 0, kDump = 1, kRestore = 2, kPreDump = 4, kNotify = 6 };

struct Request {
  Type type = Type::kEmpty;
  std::string options;  // criu_opts
  std::string root;     // `root` of the options, which is made before CRIU is asked
  std::string bind_root;
};

// Of protocol.h. `descriptors` are the numbers that those of the packet have got here.
Result<Request> read_request(std::string_view text, std::span<const int> descriptors);

std::string request_bytes(const Request& request);
// What a notification is answered with.
enum class Verdict : std::uint8_t { kGo, kStop };
std::string notified_bytes(Verdict verdict);

struct Answer {
  Type type = Type::kEmpty;
  bool success = false;
  int pid = 0;         // of the restored process, or that a notification is about
  std::string script;  // of a notification
  int error = 0;       // errno
  std::string words;
};
Result<Answer> read_answer(std::string_view bytes);

}  // namespace clawrun::criu
