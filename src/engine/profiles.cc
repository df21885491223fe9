#include <dirent.h>
#include <unistd.h>

#include <cstdlib>

#include "base/text.h"
#include "engine/exec.h"
#include "spec/profile.h"
#include "sys/sys.h"

namespace clawrun::engine {

namespace {

constexpr std::size_t kMaxProfileBytes = 1 << 20U;

std::vector<std::string> profile_directories() {
  std::vector<std::string> directories;
  const char* config = ::getenv("XDG_CONFIG_HOME");
  const char* home = ::getenv("HOME");
  if (config != nullptr && config[0] == '/')
    directories.push_back(std::string(config) + "/clawrun/profiles");
  else if (home != nullptr && home[0] == '/')
    directories.push_back(std::string(home) + "/.config/clawrun/profiles");
  directories.emplace_back("/etc/clawrun/profiles");
  directories.emplace_back(CLAWRUN_DATADIR "/profiles");
  return directories;
}

std::vector<std::string> names_in(const std::vector<std::string>& directories) {
  std::vector<std::string> names;
  for (const std::string& path : directories) {
    DIR* directory = ::opendir(path.c_str());
    if (directory == nullptr) continue;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string_view name = entry->d_name;
      if (name.ends_with(".json") && name.size() > 5) names.emplace_back(name.substr(0, name.size() - 5));
    }
    ::closedir(directory);
  }
  return names;
}

Result<std::string> find_profile(const std::string& name) {
  const std::vector<std::string> directories = profile_directories();
  for (const std::string& directory : directories) {
    std::string path = directory + "/" + name + ".json";
    if (::access(path.c_str(), F_OK) == 0) return path;
  }
  const std::vector<std::string> names = names_in(directories);
  const std::vector<std::string_view> views(names.begin(), names.end());
  return fail(ErrorKind::kInvalid, "--profile: there is no profile " + quoted(name) + " in " + join(directories, ", ") +
                                       did_you_mean(name, views) + "; a file is named with a / or .json");
}

}  // namespace

Result<> apply_profile(spec::SandboxSpec& spec, const std::string& name_or_file) {
  std::string path = name_or_file;
  if (name_or_file.empty()) return fail(ErrorKind::kInvalid, "--profile: an empty string is not a profile");
  if (name_or_file.find('/') == std::string::npos && !name_or_file.ends_with(".json")) path = TRY(find_profile(name_or_file));
  auto text = sys::read_file(path, kMaxProfileBytes);
  if (!text) return while_doing("--profile", text.error());
  if (auto applied = spec::apply_profile(spec, *text, path); !applied) return while_doing("--profile", applied.error());
  spec.profiles.push_back(name_or_file);
  return {};
}

}  // namespace clawrun::engine
