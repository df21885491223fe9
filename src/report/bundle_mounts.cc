#include <linux/mount.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>

#include "report/bundle_parts.h"

namespace clawrun::report {

namespace {

using Json = nlohmann::ordered_json;
using child::Op;
using plan::Operation;
using Operations = std::vector<Operation>;

// Where plan/compile_mounts.cc puts what an overlay lies on.
constexpr std::string_view kLower = "lower";
constexpr std::string_view kUsrLower = "usr-lower";

// What of the operations is about the root itself, and where those begin that fill it.
struct RootPart {
  const std::string* directory = nullptr;  // nullptr: made of the host's entries
  const Operation* usr = nullptr;          // that lies below a layer that can be written to
  std::size_t rest = 1;
};

RootPart root_part(const Operations& operations) {
  RootPart part;
  const auto enter = std::ranges::find(operations, Op::kEnter, &Operation::op);
  if (enter != operations.end()) part.rest = static_cast<std::size_t>(enter - operations.begin()) + 1;
  for (std::size_t i = 0; i < part.rest; ++i) {
    const Operation& op = operations.at(i);
    if (op.op != Op::kBind) continue;
    if (op.target == kUsrLower)
      part.usr = &op;
    else if (op.target.empty() || op.target == kLower)
      part.directory = &op.source;
  }
  return part;
}

bool is_at_or_below(std::string_view path, std::string_view directory) {
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

struct AttributeRow {
  std::uint64_t bit;
  const char* word;
  const char* recursive_word;  // with the mounts below: mount_setattr(2) AT_RECURSIVE
};

constexpr AttributeRow kAttributes[] = {{MOUNT_ATTR_RDONLY, "ro", "rro"},
                                        {MOUNT_ATTR_NOSUID, "nosuid", "rnosuid"},
                                        {MOUNT_ATTR_NODEV, "nodev", "rnodev"},
                                        {MOUNT_ATTR_NOEXEC, "noexec", "rnoexec"}};

std::uint32_t host_id(const std::vector<plan::IdMapLine>& lines, std::uint32_t inside) {
  for (const plan::IdMapLine& line : lines)
    if (inside - line.inside < line.count) return line.outside + (inside - line.inside);
  return 0;
}

std::uint32_t octal(std::string_view digits) {
  std::uint32_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
  return value;
}

class Mounts {
 public:
  Mounts(const BundleIds& ids, Bundle& bundle) : ids_(ids), bundle_(bundle) {}

  [[nodiscard]] const Json& json() const { return mounts_; }

  void directory(const std::string& path, std::uint32_t mode) {
    if (is_mounted_over(path)) return;
    if (set_mode(path, mode)) return;
    bundle_.root.push_back({BundleEntry::Kind::kDirectory, path, mode, {}});
  }
  void file(const std::string& path, std::uint32_t mode, const std::optional<std::string>& data) {
    if (is_mounted_over(path) && data)
      bundle_.not_expressed.push_back("the file /" + path + ": what is mounted there begins empty");
    if (is_mounted_over(path)) return;
    bundle_.root.push_back({BundleEntry::Kind::kFile, path, mode, data.value_or(std::string())});
  }
  void symlink(const std::string& path, const std::string& target) {
    if (is_mounted_over(path)) return;
    bundle_.root.push_back({BundleEntry::Kind::kSymlink, path, 0777, target});
  }

  void filesystem(const Operation& op) {
    Json options = attributes(op);
    if (op.source == "devpts") options.push_back("newinstance");
    for (const auto& [key, value] : op.options) options.push_back(value.empty() ? key : key + "=" + value);
    // A runtime makes it as root inside. /dev stays root's: nothing is made there by others.
    if (op.source == "tmpfs" && op.target != "dev") {
      options.push_back("uid=" + std::to_string(ids_.uid));
      options.push_back("gid=" + std::to_string(ids_.gid));
    }
    // Some runtimes give a tmpfs the mode of the directory that it is mounted on.
    for (const auto& [key, value] : op.options)
      if (key == "mode") set_mode(op.target, octal(value));
    add(op.target, op.source.c_str(), op.source, std::move(options));
  }

  void bind(const Operation& op) {
    Json options = Json::array({op.recursive ? "rbind" : "bind", "rprivate"});
    for (Json& word : attributes(op)) options.push_back(std::move(word));
    if (op.idmap) options.push_back(op.recursive ? "ridmap" : "idmap");
    Json& mount = add(op.target, "bind", op.source, std::move(options));
    if (!op.idmap) return;
    mount["uidMappings"] = one_id(op.idmap->uid, host_id(ids_.uids, ids_.uid));
    mount["gidMappings"] = one_id(op.idmap->gid, host_id(ids_.gids, ids_.gid));
  }

  void device(const Operation& op) {
    constexpr std::string_view kEverybodys[] = {"null", "zero", "full", "random", "urandom", "tty"};
    if (std::ranges::find(kEverybodys, std::string_view(op.target).substr(4)) != std::end(kEverybodys)) return;
    bind(op);
  }

  // Of a mount that is there.
  void make_read_only(const std::string& target) {
    for (Json& mount : mounts_)
      if (mount["destination"] == "/" + target) mount["options"].push_back("ro");
  }

 private:
  // Of an entry that is there already.
  bool set_mode(const std::string& path, std::uint32_t mode) {
    const auto known = std::ranges::find(bundle_.root, path, &BundleEntry::path);
    if (known == bundle_.root.end()) return false;
    known->mode = mode;
    return true;
  }

  // The runtime makes what is missing below a mount.
  bool is_mounted_over(const std::string& path) const {
    return std::ranges::any_of(mounted_, [&](const std::string& mounted) { return is_at_or_below(path, mounted); });
  }

  static Json one_id(std::uint32_t on_disk, std::uint32_t host) {
    return Json::array({{{"containerID", on_disk}, {"hostID", host}, {"size", 1}}});
  }

  // Only the recursive words reach the mounts below; the plain ones are for a runtime that does not know those. Of a file there
  // is nothing below, and crun takes them for a directory's.
  static Json attributes(const Operation& op) {
    Json words = Json::array();
    for (const AttributeRow& row : kAttributes) {
      if ((op.attr_set & row.bit) == 0) continue;
      words.push_back(row.word);
      if (op.op == Op::kBind && op.recursive) words.push_back(row.recursive_word);
    }
    return words;
  }

  Json& add(const std::string& target, const char* type, const std::string& source, Json options) {
    mounted_.push_back(target);
    mounts_.push_back({{"destination", "/" + target}, {"type", type}, {"source", source}, {"options", std::move(options)}});
    return mounts_.back();
  }

  const BundleIds& ids_;
  Json mounts_ = Json::array();
  Bundle& bundle_;
  std::vector<std::string> mounted_;
};

// The entries of a root directory, in a made root.
void show_entries(const std::string& directory, const std::vector<RootEntry>& entries, Mounts& mounts) {
  for (const RootEntry& one : entries) {
    const std::string path = one.entry.path.substr(1);
    if (one.entry.kind == host::HostEntry::Kind::kSymlink) {
      mounts.symlink(path, one.entry.link_target);
      continue;
    }
    const bool is_directory = one.entry.kind == host::HostEntry::Kind::kDirectory;
    if (is_directory)
      mounts.directory(path, 0755);
    else
      mounts.file(path, 0644, std::nullopt);
    if (one.only_made) continue;
    Operation bind;
    bind.op = Op::kBind;
    bind.source = directory + one.entry.path;
    bind.target = path;
    bind.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    bind.recursive = is_directory;
    mounts.bind(bind);
  }
}

void fill(const Operation& op, Mounts& mounts, BundleMounts& result) {
  switch (op.op) {
    case Op::kFilesystem:
      return mounts.filesystem(op);
    case Op::kBind:
      return mounts.bind(op);
    case Op::kDevice:
      return mounts.device(op);
    case Op::kDirectory:
      return mounts.directory(op.target, op.mode);
    case Op::kFile:
      return mounts.file(op.target, op.mode, op.data);
    case Op::kSymlink:
      return mounts.symlink(op.target, op.source);
    case Op::kMask:
      return result.masked_paths.push_back("/" + op.target);
    case Op::kSelfBind:
      return result.readonly_paths.push_back("/" + op.target);
    case Op::kAttributes:
      if (!op.target.empty()) mounts.make_read_only(op.target);
      return;
    case Op::kHostname:
      result.hostname = op.source;
      return;
    case Op::kCover:  // a resolver that names the gateway, which a container has not
    case Op::kEnter:  // among the operations before
      return;
  }
}

}  // namespace

const std::string* root_directory(const plan::Plan& plan) {
  return root_part(plan.operations).directory;
}

std::vector<std::string> mount_points(const plan::Plan& plan) {
  std::vector<std::string> points;
  for (std::size_t i = root_part(plan.operations).rest; i < plan.operations.size(); ++i) {
    const Operation& op = plan.operations[i];
    if (op.op == Op::kFilesystem || op.op == Op::kBind) points.push_back("/" + op.target);
  }
  return points;
}

BundleMounts make_mounts(const plan::Plan& plan, const BundleFacts& facts, const BundleIds& ids, Bundle& bundle) {
  const RootPart part = root_part(plan.operations);
  BundleMounts result;
  Mounts mounts(ids, bundle);
  if (part.directory != nullptr) show_entries(*part.directory, facts.root_entries, mounts);
  if (part.usr != nullptr) {
    Operation usr = *part.usr;
    usr.target = "usr";
    usr.recursive = true;
    usr.idmap.reset();  // only read here
    mounts.directory(usr.target, 0755);
    mounts.bind(usr);
  }
  for (std::size_t i = part.rest; i < plan.operations.size(); ++i) fill(plan.operations[i], mounts, result);
  result.mounts = mounts.json().dump();
  return result;
}

}  // namespace clawrun::report
