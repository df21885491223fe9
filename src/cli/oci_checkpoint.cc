#include <algorithm>

#include "base/text.h"
#include "cli/oci_functions.h"

namespace clawrun::cli {

namespace {

// The one place where these verbs end as long as the engine has no CRIU: the words have been checked, and nothing has been done.
Failure not_yet(std::string_view verb) {
  return fail(ErrorKind::kUnsupported, std::string(verb) + ": CRIU is not supported yet");
}

Result<> check_words(const OciWords& words) {
  constexpr std::string_view kModes[] = {"soft", "full", "strict", "ignore"};
  if (const std::string mode = words.value("manage-cgroups-mode");
      !mode.empty() && std::ranges::find(kModes, mode) == std::end(kModes))
    return fail(ErrorKind::kUsage, "--manage-cgroups-mode: " + quoted(mode) + "; soft, full, strict and ignore are known");
  for (const std::string& name : words.all("empty-ns"))
    if (name != "network") return fail(ErrorKind::kUsage, "--empty-ns: " + quoted(name) + "; network is known");
  if (const std::string server = words.value("page-server"); !server.empty()) {
    const std::size_t colon = server.rfind(':');
    if (colon == std::string::npos || colon == 0 || !parse_unsigned(std::string_view(server).substr(colon + 1), UINT16_MAX))
      return fail(ErrorKind::kUsage, "--page-server: Use --page-server ADDRESS:PORT");
  }
  if (const std::string fd = words.value("status-fd"); words.has("status-fd") && fd != "-1" && !parse_unsigned(fd, INT32_MAX))
    return fail(ErrorKind::kUsage, "--status-fd: " + quoted(fd) + " is no descriptor");
  if (words.on("pre-dump") && words.on("lazy-pages"))
    return fail(ErrorKind::kUsage, "--pre-dump and --lazy-pages exclude each other");
  return {};
}

}  // namespace

Result<int> oci_checkpoint(const engine::Runtime&, const OciWords& words) {
  TRY(check_words(words));
  return not_yet("checkpoint");
}

Result<int> oci_restore(const engine::Runtime&, const OciWords& words) {
  TRY(check_words(words));
  return not_yet("restore");
}

}  // namespace clawrun::cli
