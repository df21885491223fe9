#include <doctest/doctest.h>
#include <sys/mount.h>

#include "oci/config.h"

namespace clawrun::oci {

namespace {

using Words = std::vector<std::string>;

MountOptions options_of(const Words& words) {
  const auto options = parse_mount_options(words, "mounts[0].options");
  REQUIRE(options);
  return *options;
}

}  // namespace

TEST_CASE("oci mount options: flags, their opposites and data") {
  const MountOptions options = options_of({"nosuid", "noexec", "strictatime", "mode=755", "size=65536k"});
  CHECK(options.flags == (MS_NOSUID | MS_NOEXEC | MS_STRICTATIME));
  CHECK(options.data == "mode=755,size=65536k");
  CHECK(options.propagation == 0);

  const MountOptions cleared = options_of({"rw", "suid", "dev", "exec", "async", "loud", "nomand", "symfollow", "nolazytime"});
  CHECK(cleared.flags == 0);
  CHECK(cleared.cleared_flags ==
        (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_SYNCHRONOUS | MS_SILENT | MS_MANDLOCK | MS_NOSYMFOLLOW | MS_LAZYTIME));
  CHECK(options_of({"defaults"}).flags == 0);
  CHECK(options_of({"defaults"}).data.empty());
  CHECK(options_of({}).data.empty());
  CHECK(options_of({""}).data.empty());
  // Words that only look like known ones are the file system's.
  CHECK(options_of({"RO", "ro ", "acl", "newinstance"}).data == "RO,ro ,acl,newinstance");
}

TEST_CASE("oci mount options: every word of the specification's table is known") {
  for (const char* word : {"async",
                           "atime",
                           "bind",
                           "defaults",
                           "dev",
                           "diratime",
                           "dirsync",
                           "exec",
                           "iversion",
                           "lazytime",
                           "loud",
                           "mand",
                           "noatime",
                           "nodev",
                           "nodiratime",
                           "noexec",
                           "noiversion",
                           "nolazytime",
                           "nomand",
                           "norelatime",
                           "nostrictatime",
                           "nosuid",
                           "nosymfollow",
                           "private",
                           "ratime",
                           "rbind",
                           "rdev",
                           "rdiratime",
                           "relatime",
                           "remount",
                           "rexec",
                           "rnoatime",
                           "rnodev",
                           "rnodiratime",
                           "rnoexec",
                           "rnorelatime",
                           "rnostrictatime",
                           "rnosuid",
                           "rnosymfollow",
                           "ro",
                           "rprivate",
                           "rrelatime",
                           "rro",
                           "rrw",
                           "rshared",
                           "rslave",
                           "rstrictatime",
                           "rsuid",
                           "rsymfollow",
                           "runbindable",
                           "rw",
                           "shared",
                           "silent",
                           "slave",
                           "strictatime",
                           "suid",
                           "symfollow",
                           "sync",
                           "tmpcopyup",
                           "unbindable",
                           "idmap",
                           "ridmap",
                           "copy-symlink",
                           "src-nofollow",
                           "dest-nofollow"}) {
    CAPTURE(word);
    CHECK(options_of({word}).data.empty());
  }
}

TEST_CASE("oci mount options: a later word overrides an earlier one") {
  CHECK(options_of({"ro", "rw"}).flags == 0);
  CHECK(options_of({"ro", "rw"}).cleared_flags == MS_RDONLY);
  CHECK(options_of({"rw", "ro"}).flags == MS_RDONLY);
  CHECK(options_of({"rw", "ro"}).cleared_flags == 0);
  CHECK(options_of({"noatime", "strictatime"}).flags == MS_STRICTATIME);
  CHECK(options_of({"strictatime", "relatime"}).flags == MS_RELATIME);
  CHECK(options_of({"relatime", "noatime"}).flags == MS_NOATIME);
  CHECK(options_of({"noatime", "atime"}).flags == 0);
  CHECK(options_of({"rbind", "bind"}).flags == MS_BIND);
  CHECK(options_of({"rbind", "bind"}).cleared_flags == 0);
  CHECK(options_of({"bind", "rbind"}).flags == (MS_BIND | MS_REC));
  CHECK(options_of({"rshared", "private"}).propagation == MS_PRIVATE);
  CHECK(options_of({"private", "rslave"}).propagation == (MS_SLAVE | MS_REC));
}

TEST_CASE("oci mount options: recursive attributes are those of mount_setattr") {
  const MountOptions options = options_of({"rbind", "rro", "rnosuid", "rexec"});
  CHECK(options.flags == (MS_BIND | MS_REC));
  CHECK(options.recursive_set == (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID));
  CHECK(options.recursive_clear == MOUNT_ATTR_NOEXEC);
  CHECK(options_of({"rro", "rrw"}).recursive_set == 0);
  CHECK(options_of({"rro", "rrw"}).recursive_clear == MOUNT_ATTR_RDONLY);
  CHECK(options_of({"rrw", "rro"}).recursive_clear == 0);

  // The field of access times is cleared as a whole, or the kernel says EINVAL.
  for (const auto& [word, set] : {std::pair{"rnoatime", MOUNT_ATTR_NOATIME}, std::pair{"rstrictatime", MOUNT_ATTR_STRICTATIME},
                                  std::pair{"rrelatime", MOUNT_ATTR_RELATIME}, std::pair{"ratime", MOUNT_ATTR_RELATIME},
                                  std::pair{"rnostrictatime", MOUNT_ATTR_RELATIME}}) {
    CAPTURE(word);
    const MountOptions times = options_of({word});
    CHECK(times.recursive_set == static_cast<std::uint64_t>(set));
    CHECK(times.recursive_clear == MOUNT_ATTR__ATIME);
  }
  CHECK(options_of({"rnoatime", "rstrictatime"}).recursive_set == MOUNT_ATTR_STRICTATIME);
  CHECK(options_of({"rnoatime", "ratime"}).recursive_set == 0);
  CHECK(options_of({"rstrictatime", "ratime"}).recursive_set == MOUNT_ATTR_STRICTATIME);
  CHECK(options_of({"rnorelatime"}).recursive_clear == 0);
}

TEST_CASE("oci mount options: switches and id maps") {
  const MountOptions options = options_of({"tmpcopyup", "copy-symlink", "src-nofollow", "dest-nofollow", "ridmap"});
  CHECK(options.tmpcopyup);
  CHECK(options.copy_symlink);
  CHECK(options.source_nofollow);
  CHECK(options.destination_nofollow);
  CHECK(options.idmap);
  CHECK(options.recursive_idmap);
  CHECK_FALSE(options_of({"ridmap", "idmap"}).recursive_idmap);

  const MountOptions custom = options_of({"bind", "idmap=uids=0-1-10#@10-11-10;gids=0-3-10"});
  REQUIRE(custom.idmap_uids.size() == 2);
  REQUIRE(custom.idmap_gids.size() == 1);
  CHECK(custom.idmap_uids[0].map.host_id == 1);
  CHECK_FALSE(custom.idmap_uids[0].relative);
  CHECK(custom.idmap_uids[1].relative);
  CHECK(custom.idmap_uids[1].map.container_id == 10);
  CHECK(custom.idmap_uids[1].map.size == 10);
  CHECK(custom.idmap_gids[0].map.host_id == 3);
  CHECK(custom.data.empty());

  for (const char* word :
       {"idmap=", "idmap=uids=0-0-1", "idmap=uids=0-0;gids=0-0-1", "idmap=uids=0-0-0;gids=0-0-1", "idmap=uids=0-0-x;gids=0-0-1",
        "idmap=uids=-1-0-1;gids=0-0-1", "ridmap=x", "idmap=uids=0-0-1;uids=0-0-1", "idmap=uids=4294967294-0-2;gids=0-0-1",
        "idmap=uids=0-0-99999999999;gids=0-0-1"}) {
    CAPTURE(word);
    const auto wrong = parse_mount_options({"bind", word}, "mounts[3].options");
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().kind == ErrorKind::kInvalid);
    CHECK(wrong.error().message.starts_with("mounts[3].options[1]: \"" + std::string(word) + "\" is not an id map"));
  }
  CHECK_FALSE(parse_mount_options({std::string("a\0b", 3)}, "o"));
}

}  // namespace clawrun::oci
