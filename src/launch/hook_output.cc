#include "launch/hook_output.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/text.h"
#include "oci/annotations.h"
#include "sys/sys.h"

namespace clawrun::launch {

namespace {

Result<UniqueFd> open_output(const std::string& path, const char* annotation) {
  if (path.empty()) return UniqueFd();
  const auto failed = [&](const Error& error) { return while_doing(std::string("annotations[\"") + annotation + "\"]", error); };
  // A FIFO that nobody reads must not hold the runtime up before it is seen to be one.
  auto file = sys::open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
  if (!file) return failed(file.error());
  struct stat info {};
  if (::fstat(file->get(), &info) != 0) return failed(fail_errno("looking at " + shown(path)).error());
  if (!S_ISREG(info.st_mode)) return failed({ErrorKind::kInvalid, 0, shown(path) + " is no regular file"});
  return file;
}

}  // namespace

Result<HookOutput> HookOutput::open(const oci::Config& config) {
  const oci::Annotated annotated = TRY(oci::annotations_of(config));
  HookOutput output;
  output.out = TRY(open_output(annotated.hooks_stdout, "run.oci.hooks.stdout"));
  output.err = TRY(open_output(annotated.hooks_stderr, "run.oci.hooks.stderr"));
  return output;
}

}  // namespace clawrun::launch
