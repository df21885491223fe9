// One entry of `mounts`: made detached, given its attributes, then attached at a place that was walked to by descriptor.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "oci/config.h"

namespace clawrun::container {

// What mounting needs to know of the container.
struct Site {
  int root = -1;  // O_PATH, the root directory that is being built
  std::string bundle;
  std::string mount_label;
  std::string mount_context;      // the option for it: context, fscontext, defcontext, rootcontext
  std::string mountinfo;          // of the host, before anything was mounted
  bool cgroup_namespace = false;  // of its own
  bool user_namespace = false;    // of its own, or this process is in one that is not the host's
  // By the index in `mounts`: detached mounts that the parent opened by the host's rights, and id-mapped.
  std::map<std::size_t, UniqueFd> opened;
};

// mount_setattr(2): MOUNT_ATTR_* of the MS_* of a list of options.
std::uint64_t attributes_of(std::uint64_t flags);

// The source of a bind mount on the host: relative to the bundle where it is relative.
std::string bind_source(const oci::Mount& mount, const std::string& bundle);

bool is_bind(const oci::Mount& mount);

// A detached copy of the source of a bind mount: open_tree(2).
Result<UniqueFd> open_bind_source(const oci::Mount& mount, const std::string& bundle);

// Must run in the container's mount namespace, before its root is the root.
Result<> mount_entry(const Site& site, const oci::Mount& mount, std::size_t index);

// Attaches a detached mount onto the open directory or file `target`.
Result<> attach(int mount, int target);

// mount_setattr(2) on what `fd` names.
struct Attributes {
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
  std::uint64_t propagation = 0;  // MS_SHARED, …, without MS_REC
  bool recursive = false;
};
Result<> set_attributes(int fd, const Attributes& attributes);

// A fresh file system, detached. `data` as mount(2) has it; MS_* of the superblock in `flags`. MOUNT_ATTR_* in `attributes`: in
// a user namespace a sysfs or proc must be as read-only as the one that is there from its first moment on.
Result<UniqueFd> new_filesystem(const std::string& type, const std::string& source, const std::string& data, std::uint64_t flags,
                                std::uint64_t attributes = 0);

// cgroup_mount.cc: a "cgroup" entry, by what the host has: cgroup v2, or a directory of v1 hierarchies.
Result<> mount_cgroup(const Site& site, const oci::Mount& mount, int target);

// copy_up.cc: what lies in the directory `from` into the directory `to`, with owners, modes, times and extended attributes.
Result<> copy_up(int from, int to);

}  // namespace clawrun::container
