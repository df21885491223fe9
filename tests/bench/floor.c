// The physical limit: the kernel operations of our default plan (clawrun exec --memory none --pids none --rootfs DIR), written out
// by hand, with nothing looked at, nothing reported, and nothing that a caller could choose. What it builds is isolated as
// clawrun's sandbox is, but it trusts the root filesystem and its caller, and would not notice a failure.
#define _GNU_SOURCE
#include "floor.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kId = 1000, kFirstHostId = 1879048192, kStackBytes = 65536 };

struct floor {
  const char *root;
  char *const *argv;
  struct sock_fprog filter;
  int gate[2];     // the ids are mapped
  int network[2];  // from pid 1 to pid 2: its network is there
  int tree;
  int as_root;
  char *command_stack;
};

static const unsigned kQuiet = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

static int attach(int mount, int root, const char *target) {
  struct open_how {
    uint64_t flags, mode, resolve;
  } how = {O_PATH | O_CLOEXEC, 0, 0x10 /* RESOLVE_IN_ROOT */};
  const int to = (int)syscall(SYS_openat2, root, target, &how, sizeof how);
  const int result = (int)syscall(SYS_move_mount, mount, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
  close(to);
  close(mount);
  return result;
}

static void filesystem(int root, const char *type, const char *target, unsigned attributes, const char *const *options) {
  const int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
  for (; *options != NULL; options += 2) syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, options[0], options[1], 0);
  syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
  const int mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
  close(context);
  attach(mount, root, target);
}

static void bind_to(int root, int from, const char *source, const char *target, unsigned attributes, unsigned flags) {
  const int tree = (int)syscall(SYS_open_tree, from, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
  struct mount_attr attr = {attributes, 0, MS_PRIVATE, 0};
  syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | flags, &attr, sizeof attr);
  attach(tree, root, target);
}

static void read_only(int root, const char *target) {
  struct mount_attr attr = {MOUNT_ATTR_RDONLY, 0, 0, 0};
  syscall(SYS_mount_setattr, root, target, 0, &attr, sizeof attr);
}

static int open_root(const char *root) {
  return (int)syscall(SYS_open_tree, AT_FDCWD, root, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
}

static void build(const struct floor *floor) {
  const int tree = floor->as_root ? floor->tree : open_root(floor->root);
  struct mount_attr attr = {MOUNT_ATTR_RDONLY | kQuiet, 0, MS_PRIVATE, 0};
  syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr);
  syscall(SYS_move_mount, tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
  const int root = openat(tree, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  fchdir(root);
  const char *const none[] = {NULL};
  const char *const tmp[] = {"size", "268435456", "nr_inodes", "65536", "mode", "1777", NULL};
  const char *const mask[] = {"size", "4k", "nr_inodes", "2", "mode", "0555", NULL};
  const char *const dev[] = {"size", "64k", "nr_inodes", "64", "mode", "0755", NULL};
  const char *const pts[] = {"mode", "0620", "ptmxmode", "0666", NULL};
  const char *const shm[] = {"size", "67108864", "nr_inodes", "16384", "mode", "1777", NULL};
  const char *const work[] = {"size", "268435456", "nr_inodes", "65536", "mode", "0755", NULL};
  filesystem(root, "tmpfs", "tmp", kQuiet, tmp);
  filesystem(root, "proc", "proc", kQuiet | MOUNT_ATTR_NOEXEC, none);
  if (faccessat(root, "proc/acpi", F_OK, 0) == 0)
    filesystem(root, "tmpfs", "proc/acpi", kQuiet | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY, mask);
  static const char *const files[] = {"proc/cmdline", "proc/interrupts", "proc/kcore", "proc/keys", "proc/timer_list"};
  for (size_t i = 0; i < sizeof files / sizeof *files; ++i)
    if (faccessat(root, files[i], F_OK, 0) == 0)
      bind_to(root, AT_FDCWD, "/dev/null", files[i], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0);
  static const char *const trees[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
  for (size_t i = 0; i < sizeof trees / sizeof *trees; ++i)
    if (faccessat(root, trees[i], F_OK, 0) == 0)
      bind_to(root, root, trees[i], trees[i], MOUNT_ATTR_RDONLY | kQuiet | MOUNT_ATTR_NOEXEC, AT_RECURSIVE);
  filesystem(root, "tmpfs", "dev", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, dev);
  static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
  for (size_t i = 0; i < sizeof devices / sizeof *devices; ++i) {
    char source[32], target[32];
    snprintf(source, sizeof source, "/dev/%s", devices[i]);
    snprintf(target, sizeof target, "dev/%s", devices[i]);
    close(openat(root, target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
    bind_to(root, AT_FDCWD, source, target, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0);
  }
  symlinkat("/proc/self/fd", root, "dev/fd");
  symlinkat("/proc/self/fd/0", root, "dev/stdin");
  symlinkat("/proc/self/fd/1", root, "dev/stdout");
  symlinkat("/proc/self/fd/2", root, "dev/stderr");
  symlinkat("pts/ptmx", root, "dev/ptmx");
  mkdirat(root, "dev/pts", 0755);
  filesystem(root, "devpts", "dev/pts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, pts);
  mkdirat(root, "dev/shm", 01777);
  filesystem(root, "tmpfs", "dev/shm", kQuiet | MOUNT_ATTR_NOEXEC, shm);
  read_only(root, "dev");
  filesystem(root, "tmpfs", "workspace", kQuiet, work);
  read_only(root, ".");
  sethostname("sandbox", 7);
  fchdir(root);
  syscall(SYS_pivot_root, ".", ".");
  umount2(".", MNT_DETACH);
  chdir("/");
  close(root);
}

static void drop_capabilities(void) {
  for (int capability = 0; capability <= 40; ++capability) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  struct {
    uint32_t version;
    int pid;
  } header = {0x20080522, 0};
  const uint32_t none[6] = {0};
  syscall(SYS_capset, &header, none);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void landlock(void) {
  const uint64_t all = 0xffff;
  const uint64_t reading = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
  const struct {
    uint64_t handled_fs, handled_net, scoped;
  } attr = {all, 0, 0};
  const int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, 8, 0);
  static const char *const paths[] = {"/", "/proc", "/dev", "/dev/shm", "/tmp", "/workspace"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; ++i) {
    const int fd = open(paths[i], O_PATH | O_CLOEXEC);
    const struct landlock_path_beneath_attr rule = {i == 0 ? reading : all, fd};
    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(fd);
  }
  syscall(SYS_landlock_restrict_self, rules, 0);
  close(rules);
}

static int command_main(void *argument) {
  const struct floor *floor = argument;
  setsid();
  umask(0);
  build(floor);
  char byte;
  read(floor->network[0], &byte, 1);
  setns(open("/proc/1/ns/net", O_RDONLY | O_CLOEXEC), CLONE_NEWNET);
  umask(022);
  chdir("/workspace");
  drop_capabilities();
  landlock();
  syscall(SYS_close_range, 3, ~0U, 0);
  const struct rlimit core = {0, 0}, files = {1024, 1024}, processes = {512, 512};
  setrlimit(RLIMIT_CORE, &core);
  setrlimit(RLIMIT_NOFILE, &files);
  setrlimit(RLIMIT_NPROC, &processes);
  syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &floor->filter);
  char *const environment[] = {NULL};
  execve(floor->argv[0], floor->argv, environment);
  _exit(127);
}

static void loopback_up(void) {
  const struct {
    struct nlmsghdr header;
    struct ifinfomsg link;
  } request = {{sizeof request, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 0, 0}, {AF_UNSPEC, 0, 0, 1, 1, 1}};
  char answer[256];
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  send(fd, &request, sizeof request, 0);
  recv(fd, answer, sizeof answer, 0);
  close(fd);
}

static int first_main(void *argument) {
  struct floor *floor = argument;
  char byte;
  read(floor->gate[0], &byte, 1);
  unshare(CLONE_NEWCGROUP);
  setsid();
  if (floor->as_root) {
    syscall(SYS_setgroups, 0, NULL);
    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    setresgid(kId, kId, kId);
    setresuid(kId, kId, kId);
    struct {
      uint32_t version;
      int pid;
    } header = {0x20080522, 0};
    uint32_t sets[6];
    syscall(SYS_capget, &header, sets);
    sets[0] = sets[1];
    sets[3] = sets[4];
    syscall(SYS_capset, &header, sets);
  }
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  syscall(SYS_keyctl, 1, NULL);
  chdir("/");
  pipe2(floor->network, O_CLOEXEC);
  clone(command_main, floor->command_stack + kStackBytes, CLONE_VM | SIGCHLD, floor);
  unshare(CLONE_NEWNET);
  loopback_up();
  write(floor->network[1], "n", 1);
  int status = 0;
  while (wait(&status) != 2) {
  }
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void tell(pid_t pid, const char *file, const char *text) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  write(fd, text, strlen(text));
  close(fd);
}

static void map_ids(pid_t pid) {
  char line[64];
  const int as_root = geteuid() == 0;
  if (!as_root) tell(pid, "setgroups", "deny");
  snprintf(line, sizeof line, "%d %u 1\n", kId, as_root ? kFirstHostId + (unsigned)pid : geteuid());
  tell(pid, "uid_map", line);
  snprintf(line, sizeof line, "%d %u 1\n", kId, as_root ? kFirstHostId + (unsigned)pid : getegid());
  tell(pid, "gid_map", line);
}

int floor_run(const char *root, char *const *argv, const struct sock_fprog *filter) {
  char *stacks = mmap(NULL, 2 * kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  struct floor floor = {root, argv, *filter, {-1, -1}, {-1, -1}, -1, geteuid() == 0, stacks + kStackBytes};
  pipe2(floor.gate, O_CLOEXEC);
  const int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
  if (floor.as_root) floor.tree = open_root(root);
  const pid_t pid = clone(first_main, stacks + kStackBytes,
                          CLONE_VM | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, &floor);
  if (pid < 0) return -1;
  map_ids(pid);
  write(floor.gate[1], "g", 1);
  int status = 0;
  waitpid(pid, &status, 0);
  prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0);
  close(floor.gate[0]);
  close(floor.gate[1]);
  if (floor.as_root) close(floor.tree);
  munmap(stacks, 2 * kStackBytes);
  return status;
}
