#include "base/result.h"

#include <cstring>

namespace clawrun {

namespace {

ErrorKind kind_of(int errno_value) {
  switch (errno_value) {
    case EPERM:
    case EACCES:
      return ErrorKind::kDenied;
    case ENOSYS:
    case EOPNOTSUPP:
      return ErrorKind::kUnsupported;
    default:
      return ErrorKind::kSystem;
  }
}

}  // namespace

Failure fail_errno(std::string_view doing, int errno_value) {
  std::string message(doing);
  message += ": ";
  // strerrordesc_np: thread-safe and without locale, which a library must not touch (strerror(3)).
  const char* text = strerrordesc_np(errno_value);
  message += text != nullptr ? text : "unknown error";
  return Failure(Error{kind_of(errno_value), errno_value, std::move(message)});
}

Failure while_doing(std::string_view doing, Error error) {
  error.message.insert(0, std::string(doing) + ": ");
  return Failure(std::move(error));
}

}  // namespace clawrun
