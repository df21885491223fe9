#include "pool/member.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"
#include "sys/sys.h"

namespace clawrun::pool {

Result<Member> Member::make(const Common& common, child::Park where) {
  const std::uint64_t begun_ns = sys::monotonic_ns();
  if (common.driver == nullptr) {
    engine::WarmSandbox parked = TRY(engine::WarmSandbox::park(common.plan, where));
    Member made(std::move(parked));
    made.begun_ns = begun_ns;
    return made;
  }
  // Of each its own: no claim's code is ever to be found by another.
  UniqueFd code(::memfd_create("clawrun-code", MFD_CLOEXEC));
  if (!code.valid()) return fail_errno("making a file in memory");
  sys::Ends ready = TRY(sys::pipe());
  ::fcntl(ready.first.get(), F_SETFL, O_NONBLOCK);
  const int given[2] = {code.get(), ready.second.get()};
  engine::WarmSandbox primed = TRY(engine::WarmSandbox::prime(common.plan, given));
  Member made(std::move(primed));
  made.begun_ns = begun_ns;
  made.code_ = std::move(code);
  made.ready_ = std::move(ready.first);
  return made;
}

Result<> Member::await_ready() {
  if (!ready_.valid()) return {};
  pollfd said{ready_.get(), POLLIN, 0};
  int count = 0;
  while ((count = ::poll(&said, 1, static_cast<int>(kLongestStart.count()))) < 0 && errno == EINTR) {
  }
  if (count > 0 && take_ready()) return {};
  return fail(ErrorKind::kSystem,
              (count > 0 ? "the interpreter ended before it was ready" : "the prime script was not done in time") + last_words());
}

bool Member::take_ready() {
  char byte = 0;
  const bool said = ::read(ready_.get(), &byte, 1) == 1;
  ready_.reset();
  return said;
}

std::string Member::last_words() const {
  char text[4096];
  const ssize_t size = ::read(warm_.stream(2), text, sizeof text);
  std::string_view words(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  while (words.ends_with('\n')) words.remove_suffix(1);
  if (const std::size_t end = words.rfind('\n'); end != std::string_view::npos) words.remove_prefix(end + 1);
  return words.empty() ? "" : ": " + quoted(words);
}

Result<engine::LiveSandbox> Member::claim(Fitted fitted) {
  // Written by this side's own rights; pwrite(2) leaves the offset, which both sides share, at the beginning.
  for (std::size_t at = 0; at < fitted.code.size();) {
    const ssize_t size = ::pwrite(code_.get(), fitted.code.data() + at, fitted.code.size() - at, static_cast<off_t>(at));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("handing over the code");
    at += static_cast<std::size_t>(size);
  }
  code_.reset();
  ready_.reset();
  return warm_.claim(std::move(fitted.warm));
}

}  // namespace clawrun::pool
