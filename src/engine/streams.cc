#include "engine/streams.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/sys.h"

namespace clawrun::engine {

namespace {

using Kind = StreamChoice::Kind;
using supervise::StreamUse;

// A directory as a stream would be a way to the host's files: openat(2) below it needs no path (CVE-2024-21626).
Result<> check_descriptor(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return fail_errno("taking descriptor " + std::to_string(fd) + " as a standard stream");
  if (S_ISDIR(info.st_mode))
    return fail(ErrorKind::kInvalid,
                "descriptor " + std::to_string(fd) +
                    " is a directory of the host, which is no standard stream: bind it with the setting bind");
  return {};
}

// A limited output is copied: through a pipe to where it would have gone by itself.
Result<> limit_output(Streams& streams, int stream, const StreamChoice& choice, std::uint64_t limit_bytes) {
  launch::Stream& start = streams.starts[stream];
  StreamUse& use = streams.uses[stream];
  use.limit_bytes = limit_bytes;
  if (choice.kind == Kind::kDescriptor) {
    use.target.reset(::fcntl(choice.fd, F_DUPFD_CLOEXEC, 3));
    if (!use.target.valid()) return fail_errno("taking descriptor " + std::to_string(choice.fd) + " as a standard stream");
  } else {
    sys::Ends ends = TRY(sys::pipe());
    ::fcntl(ends.first.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(ends.second.get(), F_SETFL, O_NONBLOCK);
    streams.reader_ends[stream] = std::move(ends.first);
    use.target = std::move(ends.second);
  }
  use.kind = StreamUse::Kind::kCopy;
  start = {launch::Stream::Kind::kPipe};
  return {};
}

Result<> choose(Streams& streams, int stream, const StreamChoice& choice, std::uint64_t limit_bytes) {
  launch::Stream& start = streams.starts[stream];
  StreamUse& use = streams.uses[stream];
  switch (choice.kind) {
    case Kind::kInherit:
      use.limit_bytes = limit_bytes;
      return {};
    case Kind::kNull:
      start.kind = launch::Stream::Kind::kNull;
      return {};
    case Kind::kCapture:
      if (stream == 0) return fail(ErrorKind::kInvalid, "standard input is no output: it cannot be captured");
      start.kind = launch::Stream::Kind::kPipe;
      use.kind = StreamUse::Kind::kCapture;
      use.limit_bytes = limit_bytes == UINT64_MAX ? kDefaultCaptureBytes : limit_bytes;
      return {};
    case Kind::kPipe:
      if (stream != 0 && limit_bytes != UINT64_MAX) return limit_output(streams, stream, choice, limit_bytes);
      start.kind = launch::Stream::Kind::kPipe;
      use.kind = StreamUse::Kind::kForeign;
      return {};
    case Kind::kDescriptor:
      TRY(check_descriptor(choice.fd));
      if (stream != 0 && limit_bytes != UINT64_MAX) return limit_output(streams, stream, choice, limit_bytes);
      start = {launch::Stream::Kind::kDescriptor, choice.fd};
      return {};
  }
  return fail(ErrorKind::kInternal, "a stream of no kind");
}

}  // namespace

Result<> check_terminal(const StreamChoice& choice) {
  if (choice.kind == Kind::kInherit) return {};
  return fail(ErrorKind::kInvalid, "with the setting tty the standard streams are a terminal: they can only be inherited");
}

Result<Streams> choose_streams(const StreamChoice (&choices)[3], std::uint64_t limit_bytes) {
  Streams streams;
  for (int stream = 0; stream < 3; ++stream) TRY(choose(streams, stream, choices[stream], limit_bytes));
  return streams;
}

Result<> settle_inherited(Streams& streams, const StreamChoice (&choices)[3], std::uint64_t limit_bytes) {
  for (int stream = 0; stream < 3; ++stream) {
    if (choices[stream].kind != Kind::kInherit) continue;
    if (::fcntl(stream, F_GETFD) >= 0) TRY(check_descriptor(stream));
    if (::isatty(stream) != 0 || (stream != 0 && limit_bytes != UINT64_MAX))
      streams.starts[stream].kind = launch::Stream::Kind::kPipe;
  }
  return {};
}

}  // namespace clawrun::engine
