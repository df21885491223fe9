#include <linux/mount.h>

#include <algorithm>
#include <string_view>

#include "plan/internal.h"
#include "tables/proc_paths.h"

namespace clawrun::plan {

namespace {

using child::Op;

constexpr std::uint64_t kNoSuidDev = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
constexpr std::uint64_t kReadOnly = kNoSuidDev | MOUNT_ATTR_RDONLY;
constexpr const char* kResolver = "/etc/resolv.conf";
constexpr std::uint64_t kShmBytes = 64ULL << 20U;

struct DeviceRow {
  const char* path;
  std::uint32_t number;  // major << 8 | minor: Documentation/admin-guide/devices.txt
};

constexpr DeviceRow kDevices[] = {{"/dev/null", 0x103},   {"/dev/zero", 0x105},    {"/dev/full", 0x107},
                                  {"/dev/random", 0x108}, {"/dev/urandom", 0x109}, {"/dev/tty", 0x500}};

struct LinkRow {
  const char* target;
  const char* source;
};

constexpr LinkRow kDeviceLinks[] = {{"dev/fd", "/proc/self/fd"},
                                    {"dev/stdin", "/proc/self/fd/0"},
                                    {"dev/stdout", "/proc/self/fd/1"},
                                    {"dev/stderr", "/proc/self/fd/2"},
                                    {"dev/ptmx", "pts/ptmx"}};

std::string relative(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  return std::string(path);
}

bool is_below(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

class Mounts {
 public:
  Mounts(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs) : plan_(plan), spec_(spec), inputs_(inputs) {}

  void run() {
    if (inputs_.root.is_host)
      host_root();
    else
      directory_root();
    temporary("/tmp", spec_.tmp_size_bytes);
    proc();
    dev();
    if (has_resolver(spec_)) resolver();
    workspace();
    user_mounts();
    files();
    if (!spec_.writable) add({.op = Op::kAttributes, .target = "", .attr_set = MOUNT_ATTR_RDONLY});
    add({.op = Op::kHostname, .source = spec_.hostname});
  }

 private:
  void add(Operation operation) { plan_.operations.push_back(std::move(operation)); }

  void tmpfs(const std::string& target, std::uint64_t size_bytes, const char* mode, std::uint64_t attr_set) {
    // An inode costs about 1 KiB of kernel memory that size= does not count.
    const std::uint64_t inodes = std::clamp<std::uint64_t>(size_bytes / 4096, 256, 1U << 20U);
    add({.op = Op::kFilesystem,
         .source = "tmpfs",
         .target = target,
         .options = {{"size", std::to_string(size_bytes)}, {"nr_inodes", std::to_string(inodes)}, {"mode", mode}},
         .attr_set = attr_set});
  }

  void directory(const std::string& target, std::uint32_t mode = 0755) {
    add({.op = Op::kDirectory, .target = relative(target), .mode = mode});
  }
  void file(const std::string& target, std::string data) {
    add({.op = Op::kFile, .target = relative(target), .data = std::move(data), .mode = 0644});
  }
  void mount_file(const std::string& target) { add({.op = Op::kFile, .target = relative(target), .mode = 0644}); }

  // Id-mapped where the caller's ids and the sandbox's are different people: files written there belong to `owner`.
  std::optional<Ownership> ownership(const SourceFacts& facts) const {
    if (!inputs_.host.privileged) return std::nullopt;
    return Ownership{facts.owner_uid, facts.owner_gid};
  }

  // Of a root that can be written to: where many ids exist inside, they are those on disk.
  std::optional<Ownership> root_ownership(const SourceFacts& facts) const {
    std::optional<Ownership> owner = ownership(facts);
    if (owner) owner->whole_range = wants_id_range(spec_);
    return owner;
  }

  // ---- the root ----

  void host_root() {
    if (!spec_.writable) {
      tmpfs("", 1U << 20U, "0755", kNoSuidDev | MOUNT_ATTR_NOEXEC);
      host_entries();
    } else {
      stage();
      directory("usr-upper");
      directory("usr-work");
      directory("usr-lower");
      add({.op = Op::kSelfBind, .target = "root", .attr_set = kNoSuidDev});
      add({.op = Op::kBind,
           .source = "/usr",
           .target = "usr-lower",
           .attr_set = kReadOnly,
           .by_parent = inputs_.host.privileged,
           .idmap = root_ownership({})});
      directory("root/usr");
      overlay("root/usr", "usr-lower", "usr-upper", "usr-work");
      add({.op = Op::kEnter, .target = "root"});
      host_entries();
    }
    identity_files();
    creatable_ = true;
  }

  void host_entries() {
    for (const host::HostEntry& entry : inputs_.root.entries) {
      if (spec_.writable && entry.path == "/usr") continue;
      if (entry.kind == host::HostEntry::Kind::kSymlink) {
        add({.op = Op::kSymlink, .source = entry.link_target, .target = relative(entry.path)});
        continue;
      }
      const bool is_directory = entry.kind == host::HostEntry::Kind::kDirectory;
      if (is_directory)
        directory(entry.path);
      else
        mount_file(entry.path);
      add({.op = Op::kBind,
           .source = entry.path,
           .target = relative(entry.path),
           .attr_set = kReadOnly,
           .recursive = is_directory});
    }
  }

  // The minimal /etc: who exists, and how names are looked up. Nothing of the host's identity.
  void identity_files() {
    const std::string uid = std::to_string(spec_.uid);
    const std::string gid = std::to_string(spec_.gid);
    const bool is_root = spec_.uid == 0;
    std::string passwd = is_root ? "" : "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n";
    passwd += (is_root ? "root:x:" : "sandbox:x:") + uid + ":" + gid + (is_root ? ":root" : ":sandbox") + ":/tmp:/bin/sh\n";
    passwd += "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    std::string group = spec_.gid == 0 ? "" : "root:x:0:\n";
    group += (spec_.gid == 0 ? "root:x:" : "sandbox:x:") + gid + ":\nnogroup:x:65534:\n";
    file("/etc/passwd", std::move(passwd));
    file("/etc/group", std::move(group));
    file("/etc/hosts", "127.0.0.1 localhost " + spec_.hostname + "\n::1 localhost ip6-localhost ip6-loopback\n");
    file("/etc/hostname", spec_.hostname + "\n");
    file("/etc/nsswitch.conf",
         "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n");
    file("/etc/host.conf", "multi on\n");
  }

  // A tmpfs on which an overlay's parts lie; it goes away with the old root, and the overlay keeps what it needs of it.
  void stage() {
    tmpfs("", spec_.writable ? spec_.tmp_size_bytes : 1U << 20U, "0755", kNoSuidDev);
    directory("root");
  }

  void overlay(const std::string& target, const std::string& lower, const std::string& upper, const std::string& work) {
    add({.op = Op::kFilesystem,
         .source = "overlay",
         .target = target,
         // userxattr: the trusted.* attributes are not for user namespaces; metadata is copied up whole without them.
         .options = {{"lowerdir", lower}, {"upperdir", upper}, {"workdir", work}, {"userxattr", ""}},
         .attr_set = kNoSuidDev});
  }

  void directory_root() {
    const RootFacts& root = inputs_.root;
    // Mount points that the directory lacks are made in a layer above it: the directory itself is never written to.
    const bool layered = spec_.writable || !root.missing.empty();
    const std::optional<Ownership> idmap = spec_.writable ? root_ownership(root.source) : std::nullopt;
    Operation bind{.op = Op::kBind,
                   .source = root.path,
                   .target = "",
                   .attr_set = kReadOnly,
                   .recursive = true,
                   .by_parent = inputs_.host.privileged,
                   .idmap = idmap};
    if (!layered) {
      add(std::move(bind));
      return;
    }
    stage();
    for (const char* name : {"lower", "upper", "work"}) directory(name);
    // Before the layers are one: in a directory of somebody else's nothing can be made afterwards.
    if (std::ranges::find(root.missing, kResolver) != root.missing.end()) {
      directory("upper/etc");
      mount_file(std::string("upper") + kResolver);
    }
    bind.target = "lower";
    add(std::move(bind));
    overlay("root", "lower", "upper", "work");
    add({.op = Op::kEnter, .target = "root"});
    creatable_ = true;
  }

  // ---- what is always ours ----

  void root_directory(const std::string& target, std::uint32_t mode) {
    if (creatable_) directory(target, mode);
  }

  void temporary(const std::string& target, std::uint64_t size_bytes) {
    root_directory(target, 01777);
    tmpfs(relative(target), size_bytes, "1777", kNoSuidDev);
    made_.push_back({target, true});
  }

  void proc() {
    root_directory("/proc", 0555);
    add({.op = Op::kFilesystem,
         .source = "proc",
         .target = "proc",
         .attr_set = kNoSuidDev | MOUNT_ATTR_NOEXEC,
         .no_follow = true});
    for (const char* path : tables::kMaskedPaths) add({.op = Op::kMask, .target = relative(path)});
    for (const char* path : tables::kReadOnlyPaths)
      add({.op = Op::kSelfBind, .target = relative(path), .attr_set = kReadOnly | MOUNT_ATTR_NOEXEC});
  }

  // Directories between are made on our own tmpfs.
  void granted_device(const std::string& path, const DeviceFacts& facts) {
    if (std::ranges::find(kDevices, path, &DeviceRow::path) != std::end(kDevices)) return;  // everybody has it
    for (std::size_t slash = path.find('/', 5); slash != std::string::npos; slash = path.find('/', slash + 1))
      add({.op = Op::kDirectory, .target = relative(path.substr(0, slash)), .mode = 0755});
    add({.op = Op::kDevice,
         .source = path,
         .target = relative(path),
         .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
         .mode = facts.major << 8U | (facts.minor & 0xffU) | (facts.minor & ~0xffU) << 12U});
  }

  void dev() {
    root_directory("/dev", 0755);
    add({.op = Op::kFilesystem,
         .source = "tmpfs",
         .target = "dev",
         .options = {{"size", "64k"}, {"nr_inodes", "64"}, {"mode", "0755"}},
         .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
         .no_follow = true});
    for (const DeviceRow& device : kDevices)
      add({.op = Op::kDevice,
           .source = device.path,
           .target = relative(device.path),
           .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
           .mode = device.number});
    for (std::size_t i = 0; i < spec_.devices.size(); ++i) granted_device(spec_.devices[i].path, inputs_.devices[i]);
    for (const LinkRow& link : kDeviceLinks) add({.op = Op::kSymlink, .source = link.source, .target = link.target});
    directory("/dev/pts");
    add({.op = Op::kFilesystem,
         .source = "devpts",
         .target = "dev/pts",
         .options = {{"mode", "0620"}, {"ptmxmode", "0666"}},
         .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC});
    directory("/dev/shm", 01777);
    tmpfs("dev/shm", std::min(kShmBytes, spec_.tmp_size_bytes), "1777", kNoSuidDev | MOUNT_ATTR_NOEXEC);
    add({.op = Op::kAttributes, .target = "dev", .attr_set = MOUNT_ATTR_RDONLY});
  }

  void resolver() {
    root_directory("/etc", 0755);
    if (spec_.network == spec::Network::kAllow) return gateway_resolver();
    if (creatable_) mount_file("/etc/resolv.conf");
    add({.op = Op::kBind, .source = inputs_.resolver, .target = "etc/resolv.conf", .attr_set = kReadOnly | MOUNT_ATTR_NOEXEC});
  }

  void gateway_resolver() {
    std::string data = "nameserver " + std::string(net::kGatewayV4) + "\n";
    if (inputs_.root.is_host) return file("/etc/resolv.conf", std::move(data));
    if (creatable_) mount_file("/etc/resolv.conf");
    add({.op = Op::kCover,
         .target = "etc/resolv.conf",
         .data = std::move(data),
         .attr_set = kReadOnly | MOUNT_ATTR_NOEXEC,
         .mode = 0644});
  }

  // ---- the caller's ----

  void workspace() {
    root_directory(spec::kWorkspace, 0755);
    if (!spec_.workspace) {
      const auto same = [](const auto& mount) { return mount.target == spec::kWorkspace; };
      if (std::ranges::any_of(spec_.binds, same) || std::ranges::any_of(spec_.tmpfs, same)) return;
      tmpfs("workspace", spec_.tmp_size_bytes, "0755", kNoSuidDev);
      made_.push_back({spec::kWorkspace, true});
      return;
    }
    bind_source(*spec_.workspace, *inputs_.workspace);
  }

  void bind_source(const spec::Bind& bind, const SourceFacts& facts) {
    add({.op = Op::kBind,
         .source = bind.source,
         .target = relative(bind.target),
         .attr_set = kNoSuidDev | (bind.read_only ? MOUNT_ATTR_RDONLY : 0ULL),
         .recursive = facts.is_directory,
         .by_parent = inputs_.host.privileged,
         .idmap = ownership(facts)});
    made_.push_back({bind.target, false});
  }

  // Mount points are made only in what is thrown away afterwards, never in a directory of the caller.
  bool may_create(const std::string& target) const {
    const Made* nearest = nullptr;
    for (const Made& made : made_)
      if (is_below(target, made.target) && (nearest == nullptr || made.target.size() > nearest->target.size())) nearest = &made;
    if (nearest != nullptr) return nearest->ours;
    if (inputs_.root.is_host) {
      // Below a directory of the host that is itself mounted read-only there is nothing to make.
      for (const host::HostEntry& entry : inputs_.root.entries)
        if (entry.kind == host::HostEntry::Kind::kDirectory && is_below(target, entry.path))
          return spec_.writable && entry.path == "/usr";
    }
    return creatable_;
  }

  void user_mounts() {
    struct Wanted {
      std::ptrdiff_t depth;
      std::size_t order;
      const std::string* target;
      const spec::Bind* bind;
      const SourceFacts* facts;
      const spec::Tmpfs* tmpfs;
    };
    std::vector<Wanted> wanted;
    const auto want = [&](const std::string& target, const spec::Bind* bind, const SourceFacts* facts, const spec::Tmpfs* tmpfs) {
      wanted.push_back({std::ranges::count(target, '/'), wanted.size(), &target, bind, facts, tmpfs});
    };
    for (std::size_t i = 0; i < spec_.binds.size(); ++i) want(spec_.binds[i].target, &spec_.binds[i], &inputs_.binds[i], nullptr);
    for (const spec::Tmpfs& tmpfs : spec_.tmpfs) want(tmpfs.target, nullptr, nullptr, &tmpfs);
    // Parents before children, else a later mount would hide an earlier one.
    std::ranges::sort(wanted, {}, [](const Wanted& one) { return std::pair(one.depth, one.order); });
    for (const Wanted& one : wanted) {
      if (may_create(*one.target)) {
        if (one.bind != nullptr && !one.facts->is_directory)
          mount_file(*one.target);
        else
          directory(*one.target);
      }
      if (one.bind != nullptr) {
        bind_source(*one.bind, *one.facts);
      } else {
        tmpfs(relative(*one.target), one.tmpfs->size_bytes.value_or(spec_.tmp_size_bytes), "0755", kNoSuidDev);
        made_.push_back({*one.target, true});
      }
    }
  }

  // On file systems of the sandbox's own alone: the child checks that.
  void files() {
    const std::string directory = relative(spec_.workdir.empty() ? spec::kWorkspace : spec_.workdir);
    for (const spec::File& file : spec_.files)
      add({.op = Op::kFile, .target = directory + "/" + file.path, .data = file.data, .mode = file.mode});
  }

  struct Made {
    std::string target;
    bool ours;
  };

  Plan& plan_;
  const spec::SandboxSpec& spec_;
  const Inputs& inputs_;
  bool creatable_ = false;  // directories may be made in the root
  std::vector<Made> made_;
};

}  // namespace

std::vector<std::string> mount_targets(const spec::ValidSpec& spec) {
  std::vector<std::string> targets{"/tmp", "/proc", "/dev", spec::kWorkspace};
  if (has_resolver(*spec)) targets.emplace_back(kResolver);
  const auto wanted = [&](const std::string& target) {
    // Below one of the others it is that mount which must offer it.
    return std::ranges::none_of(targets, [&](const std::string& other) { return is_below(target, other); });
  };
  for (const spec::Bind& bind : spec->binds)
    if (wanted(bind.target)) targets.push_back(bind.target);
  for (const spec::Tmpfs& tmpfs : spec->tmpfs)
    if (wanted(tmpfs.target)) targets.push_back(tmpfs.target);
  return targets;
}

void compile_mounts(Plan& plan, const spec::SandboxSpec& spec, const Inputs& inputs) {
  Mounts(plan, spec, inputs).run();
}

}  // namespace clawrun::plan
