#include "container/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "sys/sys.h"
#include "tables/landlock.h"

namespace clawrun::container {

namespace {

constexpr const char* kAnnotation = "run.clawrun.landlock";
constexpr int kTcpAbi = 4;

std::vector<std::string> words_of(std::string text) {
  std::ranges::replace(text, ',', ' ');
  std::vector<std::string> words;
  for (const std::string_view word : split(text, ' '))
    if (!word.empty()) words.emplace_back(word);
  return words;
}

Result<> allow(int ruleset, const std::string& path, std::uint64_t access) {
  constexpr std::uint64_t kOfFiles = tables::kLandlockExecute | tables::kLandlockWriteFile | tables::kLandlockReadFile |
                                     tables::kLandlockTruncate | tables::kLandlockIoctlDev;
  const UniqueFd fd = TRY(sys::open(path, O_PATH));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("looking at " + quoted(path));
  landlock_path_beneath_attr rule{};
  rule.allowed_access = S_ISDIR(info.st_mode) ? access : access & kOfFiles;
  rule.parent_fd = fd.get();
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
    return fail_errno("allowing " + quoted(path));
  return {};
}

Result<> allow_all(int ruleset, const Landlock& landlock, std::uint64_t known) {
  constexpr std::uint64_t kRead = tables::kLandlockExecute | tables::kLandlockReadFile | tables::kLandlockReadDir;
  constexpr std::uint64_t kWrite = tables::kLandlockWriteFile | tables::kLandlockTruncate;
  TRY(allow(ruleset, "/", kRead & known));
  for (const char* path : {"/proc", "/dev"})
    if (::access(path, F_OK) == 0) TRY(allow(ruleset, path, (kRead | kWrite | tables::kLandlockIoctlDev) & known));
  for (const std::string& path : landlock.writable) TRY(allow(ruleset, path, known));
  return {};
}

}  // namespace

Result<std::optional<Landlock>> landlock_of(const oci::Config& config) {
  const auto found = config.annotations.find(kAnnotation);
  if (found == config.annotations.end()) return std::nullopt;
  const std::vector<std::string> words = words_of(found->second);
  if (words.size() == 1 && words.front() == "off") return std::nullopt;
  Landlock landlock;
  for (const std::string& word : words) {
    if (word == "on") continue;
    if (word == "no-tcp") {
      landlock.refuses_tcp = true;
    } else if (word.starts_with("rw:/")) {
      landlock.writable.push_back(word.substr(3));
    } else {
      return fail(ErrorKind::kInvalid, std::string("annotations[\"") + kAnnotation + "\"]: " + quoted(word) +
                                           " is none of on, rw:/PATH, no-tcp, or off alone");
    }
  }
  return landlock;
}

Result<> enter_landlock(const Landlock& landlock) {
  const auto failed = [](const Error& error) { return while_doing(std::string("annotations[\"") + kAnnotation + "\"]", error); };
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1)
    return failed(
        {ErrorKind::kUnsupported, 0, "this kernel has no Landlock, or it is not among the active LSMs (lsm=landlock,…)"});
  if (landlock.refuses_tcp && abi < kTcpAbi)
    return failed({ErrorKind::kUnsupported, 0, "no-tcp needs Linux 6.7, whose Landlock knows ports"});
  const tables::LandlockAbi& row = tables::landlock_abi(static_cast<int>(abi));
  const std::uint64_t attributes[3] = {row.fs, landlock.refuses_tcp ? row.net : 0, row.scoped};
  const UniqueFd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, attributes, row.attr_size, 0)));
  if (!ruleset.valid()) return failed(fail_errno("making the ruleset").error());
  if (auto allowed = allow_all(ruleset.get(), landlock, row.fs); !allowed) return failed(allowed.error());
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return failed(fail_errno("entering the domain").error());
  return {};
}

}  // namespace clawrun::container
