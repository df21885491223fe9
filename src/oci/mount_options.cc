#include <sys/mount.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "oci/json_reader.h"
#include "oci/parse.h"

namespace clawrun::oci {

namespace {

// Each of these takes back the others, as the last one is meant.
constexpr std::uint64_t kAccessTimes = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;
constexpr std::uint64_t kBinds = MS_BIND | MS_REC;

struct FlagRow {
  std::string_view word;
  std::uint64_t set;
  std::uint64_t clear;
};

// runtime-spec config.md, "Linux mount options", without those of the tables below.
constexpr FlagRow kFlags[] = {
    {"async", 0, MS_SYNCHRONOUS},
    {"atime", 0, MS_NOATIME},
    {"bind", MS_BIND, MS_REC},
    {"defaults", 0, 0},
    {"dev", 0, MS_NODEV},
    {"diratime", 0, MS_NODIRATIME},
    {"dirsync", MS_DIRSYNC, 0},
    {"exec", 0, MS_NOEXEC},
    {"iversion", MS_I_VERSION, 0},
    {"lazytime", MS_LAZYTIME, 0},
    {"loud", 0, MS_SILENT},
    {"mand", MS_MANDLOCK, 0},
    {"noatime", MS_NOATIME, kAccessTimes},
    {"nodev", MS_NODEV, 0},
    {"nodiratime", MS_NODIRATIME, 0},
    {"noexec", MS_NOEXEC, 0},
    {"noiversion", 0, MS_I_VERSION},
    {"nolazytime", 0, MS_LAZYTIME},
    {"nomand", 0, MS_MANDLOCK},
    {"norelatime", 0, MS_RELATIME},
    {"nostrictatime", 0, MS_STRICTATIME},
    {"nosuid", MS_NOSUID, 0},
    {"nosymfollow", MS_NOSYMFOLLOW, 0},
    {"rbind", kBinds, 0},
    {"relatime", MS_RELATIME, kAccessTimes},
    {"remount", MS_REMOUNT, 0},
    {"ro", MS_RDONLY, 0},
    {"rw", 0, MS_RDONLY},
    {"silent", MS_SILENT, 0},
    {"strictatime", MS_STRICTATIME, kAccessTimes},
    {"suid", 0, MS_NOSUID},
    {"symfollow", 0, MS_NOSYMFOLLOW},
    {"sync", MS_SYNCHRONOUS, 0},
};

constexpr JsonWord<std::uint64_t> kPropagations[] = {
    {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},       {"rshared", MS_SHARED | MS_REC},
    {"rslave", MS_SLAVE | MS_REC}, {"runbindable", MS_UNBINDABLE | MS_REC}, {"shared", MS_SHARED},
    {"slave", MS_SLAVE},           {"unbindable", MS_UNBINDABLE},
};

constexpr FlagRow kRecursive[] = {
    {"rdev", 0, MOUNT_ATTR_NODEV},
    {"rdiratime", 0, MOUNT_ATTR_NODIRATIME},
    {"rexec", 0, MOUNT_ATTR_NOEXEC},
    {"rnodev", MOUNT_ATTR_NODEV, 0},
    {"rnodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"rnoexec", MOUNT_ATTR_NOEXEC, 0},
    {"rnosuid", MOUNT_ATTR_NOSUID, 0},
    {"rnosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"rro", MOUNT_ATTR_RDONLY, 0},
    {"rrw", 0, MOUNT_ATTR_RDONLY},
    {"rsuid", 0, MOUNT_ATTR_NOSUID},
    {"rsymfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
};

// mount_setattr(2): these three are values of one field, MOUNT_ATTR__ATIME, which is cleared as a whole to be set.
constexpr JsonWord<std::uint64_t> kRecursiveTimes[] = {
    {"rnoatime", MOUNT_ATTR_NOATIME},
    {"rrelatime", MOUNT_ATTR_RELATIME},
    {"rstrictatime", MOUNT_ATTR_STRICTATIME},
};
// Each undoes one value of the field, and the kernel's default, relatime, is what remains.
constexpr JsonWord<std::uint64_t> kRecursiveTimesOff[] = {
    {"ratime", MOUNT_ATTR_NOATIME},
    {"rnostrictatime", MOUNT_ATTR_STRICTATIME},
};

struct SwitchRow {
  std::string_view word;
  bool MountOptions::*option;
};

constexpr SwitchRow kSwitches[] = {
    {"copy-symlink", &MountOptions::copy_symlink},
    {"dest-nofollow", &MountOptions::destination_nofollow},
    {"src-nofollow", &MountOptions::source_nofollow},
    {"tmpcopyup", &MountOptions::tmpcopyup},
};

template <typename Row, std::size_t kCount>
const Row* find_row(const Row (&rows)[kCount], std::string_view word) {
  const Row* row = std::ranges::find_if(rows, [&](const Row& candidate) {
    if constexpr (requires { candidate.word; })
      return candidate.word == word;
    else
      return candidate.name == word;
  });
  return row == std::end(rows) ? nullptr : row;
}

void replace(std::uint64_t& set, std::uint64_t& cleared, const FlagRow& row) {
  set = (set & ~row.clear) | row.set;
  cleared = (cleared & ~row.set) | (row.clear & ~row.set);
}

bool apply_recursive_time(std::string_view word, MountOptions& options) {
  constexpr std::uint64_t kField = MOUNT_ATTR__ATIME;
  if (const auto* on = find_row(kRecursiveTimes, word); on != nullptr) {
    options.recursive_set = (options.recursive_set & ~kField) | on->value;
    options.recursive_clear |= kField;
    return true;
  }
  if (const auto* off = find_row(kRecursiveTimesOff, word); off != nullptr) {
    const bool sets_another = (options.recursive_clear & kField) != 0 && (options.recursive_set & kField) != off->value;
    if (!sets_another) options.recursive_set &= ~kField;
    options.recursive_clear |= kField;
    return true;
  }
  // There is no way to say "anything but relatime"; as with norelatime of mount(2), relatime is what remains.
  return word == "rnorelatime";
}

// "0-1000-10": the first id on the file system, the first one outside, how many.
std::optional<IdMapRange> range_of(std::string_view text) {
  IdMapRange range;
  if (text.starts_with('@')) {
    range.relative = true;
    text.remove_prefix(1);
  }
  const auto parts = split(text, '-');
  if (parts.size() != 3) return std::nullopt;
  const auto inside = parse_unsigned(parts[0], kMaxId);
  const auto outside = parse_unsigned(parts[1], kMaxId);
  const auto size = parse_unsigned(parts[2], kMaxId);
  if (!inside || !outside || !size || *size == 0) return std::nullopt;
  if (*inside + *size > UINT32_MAX || *outside + *size > UINT32_MAX) return std::nullopt;
  range.map = {static_cast<std::uint32_t>(*inside), static_cast<std::uint32_t>(*outside), static_cast<std::uint32_t>(*size)};
  return range;
}

// crun's "uids=0-1-10#10-11-10;gids=0-3-10".
bool parse_custom_map(std::string_view text, MountOptions& options) {
  options.idmap_uids.clear();
  options.idmap_gids.clear();
  for (std::string_view part : split(text, ';')) {
    std::vector<IdMapRange>* target = nullptr;
    if (part.starts_with("uids=")) target = &options.idmap_uids;
    if (part.starts_with("gids=")) target = &options.idmap_gids;
    if (target == nullptr || !target->empty()) return false;
    for (const std::string_view range_text : split(part.substr(5), '#')) {
      const auto range = range_of(range_text);
      if (!range) return false;
      target->push_back(*range);
    }
  }
  return !options.idmap_uids.empty() && !options.idmap_gids.empty();
}

enum class Use : std::uint8_t { kNo, kYes, kWrong };

Use apply_id_map(std::string_view word, MountOptions& options) {
  const std::size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  if (name != "idmap" && name != "ridmap") return Use::kNo;
  options.idmap = true;
  options.recursive_idmap = name == "ridmap";
  if (equals == std::string_view::npos) return Use::kYes;
  return parse_custom_map(word.substr(equals + 1), options) ? Use::kYes : Use::kWrong;
}

bool apply_word(std::string_view word, MountOptions& options) {
  if (const FlagRow* row = find_row(kFlags, word); row != nullptr) {
    replace(options.flags, options.cleared_flags, *row);
    return true;
  }
  if (const auto* row = find_row(kPropagations, word); row != nullptr) {
    options.propagation = row->value;
    return true;
  }
  if (const FlagRow* row = find_row(kRecursive, word); row != nullptr) {
    replace(options.recursive_set, options.recursive_clear, *row);
    return true;
  }
  if (const SwitchRow* row = find_row(kSwitches, word); row != nullptr) {
    options.*(row->option) = true;
    return true;
  }
  return apply_recursive_time(word, options);
}

Failure wrong_word(std::string_view path, std::size_t position, std::string_view what) {
  return fail(ErrorKind::kInvalid, std::string(path).append("[").append(std::to_string(position)).append("]: ").append(what));
}

}  // namespace

Result<MountOptions> parse_mount_options(const std::vector<std::string>& words, std::string_view path) {
  MountOptions options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.find('\0') != std::string::npos) return wrong_word(path, i, quoted_start(word) + " contains a NUL byte");
    const Use use = apply_id_map(word, options);
    if (use == Use::kWrong)
      return wrong_word(path, i,
                        quoted_start(word) + " is not an id map such as \"idmap=uids=0-1000-10#10-2000-5;gids=0-1000-10\"");
    if (use == Use::kYes || apply_word(word, options)) continue;
    if (word.empty()) continue;
    if (!options.data.empty()) options.data += ',';
    options.data += word;
  }
  // MS_BIND alone was "bind"; that it is not recursive is no wish to clear anything of the mount.
  options.cleared_flags &= ~kBinds;
  return options;
}

}  // namespace clawrun::oci
