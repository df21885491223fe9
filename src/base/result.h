// How a function of this project fails: Result<T>, Error, TRY.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace clawrun {

// What sort of failure it is. The kind, never the text, selects the exit code (tables/exit_codes.h).
enum class ErrorKind : unsigned char {
  kUsage,          // the words on the command line are wrong
  kInvalid,        // a value, file or profile is wrong
  kNotFound,       // the command does not exist in the sandbox
  kNotExecutable,  // the command exists but cannot be executed
  kUnsupported,    // this kernel, user or environment cannot give what was asked
  kDenied,         // the kernel or a policy said no
  kSystem,         // a system call failed for another reason
  kInternal,       // a mistake of ours
};

struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  int errno_value = 0;  // 0 where no system call was involved
  std::string message;  // one line, without a trailing newline; says what, where and what is allowed instead
};

template <typename T = void>
using Result = std::expected<T, Error>;

using Failure = std::unexpected<Error>;

// An error that no system call caused.
[[nodiscard]] inline Failure fail(ErrorKind kind, std::string message) {
  return Failure(Error{kind, 0, std::move(message)});
}

// An error from errno (or the errno value given): "doing: strerror text".
[[nodiscard]] Failure fail_errno(std::string_view doing, int errno_value = errno);

// Adds the context of the caller in front: "doing: message".
[[nodiscard]] Failure while_doing(std::string_view doing, Error error);

namespace internal {
template <typename T>
T take(std::expected<T, Error>&& result) {
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
}  // namespace internal

// The value of a Result, or return its error from the enclosing function. Stands only at the start of a statement, after
// `x =`, or after `return`: g++ 12 leaks the members already built when it returns from inside a braced aggregate
// (tests/house checks the position).
#define TRY(expression)                                                     \
  __extension__({                                                           \
    auto try_result = (expression);                                         \
    if (!try_result) return std::unexpected(std::move(try_result).error()); \
    ::clawrun::internal::take(std::move(try_result));                       \
  })

}  // namespace clawrun
