// Opening a path inside a directory as if that were the root: shared by the child of `exec` and by the containers of OCI.
#pragma once

namespace clawrun::child {

struct Walk {
  bool has_openat2 = true;
  bool no_follow = false;  // the last part must not be a symbolic link
};

// path.cc: opens `target` inside the directory `base` with O_PATH, as if `base` were the root: a symbolic link, however
// nasty, leads somewhere inside. Magic links are refused. "" is base itself. Returns a descriptor or -errno.
int open_in_root(int base, const char* target, Walk walk);

// The directory that holds the last part of `target`, parents made with mode 0755 where they are missing.
// `last` is set to the name in it.
int open_parent_in_root(int base, const char* target, bool has_openat2, const char** last);

}  // namespace clawrun::child
