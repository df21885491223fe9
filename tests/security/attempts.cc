#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "hostile.h"

namespace hostile {

namespace {

long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  return checked(::syscall(number, a, b, c, d, e, f));
}

long word(const void* pointer) { return reinterpret_cast<long>(pointer); }

long make_socket(int family, int type, int protocol) { return checked(::socket(family, type, protocol)); }

// On a device that is no terminal: ENOTTY is the kernel's answer, everything else a filter's.
long ioctl_request(unsigned long request) {
  const int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (fd < 0) return -errno;
  return call(SYS_ioctl, fd, static_cast<long>(request), word("x"));
}

long set_namespace(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -errno : checked(::setns(fd, 0));
}

long clone_with(unsigned long flags) {
  const long pid = call(SYS_clone, static_cast<long>(flags | SIGCHLD));
  if (pid == 0) ::_exit(0);
  return pid;
}

// The handle of "/" of the file system that the workspace or /usr is on, as shocker did: inode 2.
long open_handle(int type, std::uint32_t inode, const char* mount) {
  const int fd = ::open(mount, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  struct {
    std::uint32_t bytes;
    std::int32_t type;
    std::uint32_t inode;
    std::uint32_t generation;
  } handle{8, type, inode, 0};
  return call(SYS_open_by_handle_at, fd, word(&handle), O_RDONLY);
}

long name_handle(const char* path) {
  struct {
    std::uint32_t bytes;
    std::int32_t type;
    unsigned char data[128];
  } handle{128, 0, {}};
  int mount = 0;
  return call(SYS_name_to_handle_at, AT_FDCWD, word(path), word(&handle), word(&mount), 0);
}

long i386_getpid() {
#if defined(__x86_64__)
  long result = 0;
  asm volatile("int $0x80" : "=a"(result) : "a"(20L) : "r8", "r9", "r10", "r11", "memory");
  return static_cast<std::int32_t>(result);
#else
  return -ENOSYS;
#endif
}

long x32_getpid() {
#if defined(__x86_64__)
  return call(0x40000000L + SYS_getpid);
#else
  return -ENOSYS;
#endif
}

// The kernel looks at the low 32 bits of an int; a filter that compares all 64 sees another number.
constexpr unsigned long kHigh = 1UL << 32U;
constexpr unsigned long kTioclinux = 0x541c;

struct Attempt {
  std::string_view name;
  long (*run)();
};

constexpr Attempt kAttempts[] = {
    // Mounts and roots.
    {"mount-tmpfs", [] { return checked(::mount("none", "/tmp", "tmpfs", 0, nullptr)); }},
    {"mount-bind", [] { return checked(::mount("/tmp", "/workspace", nullptr, MS_BIND, nullptr)); }},
    {"mount-proc", [] { return checked(::mount("proc", "/proc", "proc", 0, nullptr)); }},
    {"mount-cgroup-v1", [] { return checked(::mount("none", "/tmp", "cgroup", 0, "memory")); }},
    {"mount-cgroup-v2", [] { return checked(::mount("none", "/tmp", "cgroup2", 0, nullptr)); }},
    {"remount-root", [] { return checked(::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND, nullptr)); }},
    {"remount-usr", [] { return checked(::mount(nullptr, "/usr", nullptr, MS_REMOUNT | MS_BIND, nullptr)); }},
    {"umount-proc-sys", [] { return checked(::umount2("/proc/sys", MNT_DETACH)); }},
    {"umount-root", [] { return checked(::umount2("/", MNT_DETACH)); }},
    {"pivot_root", [] { return call(SYS_pivot_root, word("/tmp"), word("/tmp")); }},
    {"chroot", [] { return checked(::chroot("/tmp")); }},
    {"fsopen", [] { return call(SYS_fsopen, word("tmpfs"), 0); }},
    {"open_tree", [] { return call(SYS_open_tree, AT_FDCWD, word("/"), 1); }},
    {"move_mount", [] { return call(SYS_move_mount, AT_FDCWD, word("/tmp"), AT_FDCWD, word("/workspace"), 0); }},
    {"mount_setattr", [] {
       const std::uint64_t clear_readonly[4] = {0, 1, 0, 0};
       return call(SYS_mount_setattr, AT_FDCWD, word("/"), 0, word(clear_readonly), sizeof clear_readonly);
     }},
    // Namespaces.
    {"setns-own-user", [] { return set_namespace("/proc/self/ns/user"); }},
    {"setns-pid1-mnt", [] { return set_namespace("/proc/1/ns/mnt"); }},
    {"unshare-user", [] { return checked(::unshare(CLONE_NEWUSER)); }},
    {"unshare-mount", [] { return checked(::unshare(CLONE_NEWNS)); }},
    {"unshare-net", [] { return checked(::unshare(CLONE_NEWNET)); }},
    {"unshare-user-high", [] { return call(SYS_unshare, static_cast<long>(CLONE_NEWUSER | kHigh)); }},
    {"unshare-files", [] { return checked(::unshare(CLONE_FILES)); }},
    {"clone-user", [] { return clone_with(CLONE_NEWUSER); }},
    {"clone-user-high", [] { return clone_with(CLONE_NEWUSER | kHigh); }},
    {"clone-plain", [] { return clone_with(0); }},
    {"clone3", [] { return call(SYS_clone3, 0, 0); }},
    // Devices and files that are none.
    {"mknod-char", [] { return checked(::mknod("/tmp/a-device", S_IFCHR | 0666, makedev(1, 3))); }},
    {"mknod-block", [] { return checked(::mknod("/tmp/a-disk", S_IFBLK | 0666, makedev(254, 0))); }},
    {"mknod-fifo", [] { return checked(::mknod("/tmp/a-fifo", S_IFIFO | 0600, 0)); }},
    {"chown-root", [] {
       const int fd = ::open("/tmp/mine", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
       return fd < 0 ? -errno : checked(::fchown(fd, 0, 0));
     }},
    // Programs that would give their owner's identity to whoever runs them on the host.
    {"chmod-suid", [] { return checked(::chmod("program", 04755)); }},
    {"chmod-sgid", [] { return checked(::chmod("program", 02755)); }},
    {"chmod-plain", [] { return checked(::chmod("program", 0755)); }},
    {"fchmod-suid", [] { return checked(::fchmod(::open("program", O_RDONLY | O_CLOEXEC), 06755)); }},
    {"fchmodat-suid", [] { return checked(::fchmodat(AT_FDCWD, "program", 04755, 0)); }},
    {"fchmodat2-suid", [] { return call(452, AT_FDCWD, word("program"), 04755, 0); }},
    {"open-suid", [] { return checked(::open("new-1", O_CREAT | O_WRONLY | O_CLOEXEC, 04755)); }},
    {"open-existing", [] { return checked(::open("program", O_RDONLY | O_CLOEXEC, 04755)); }},
    {"openat-sgid", [] { return checked(::openat(AT_FDCWD, "new-2", O_CREAT | O_WRONLY | O_CLOEXEC, 02755)); }},
    {"openat-tmpfile-suid", [] { return checked(::openat(AT_FDCWD, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 04755)); }},
    {"openat2-suid", [] {
       const std::uint64_t how[3] = {O_CREAT | O_WRONLY | O_CLOEXEC, 04755, 0};
       return call(SYS_openat2, AT_FDCWD, word("new-3"), word(how), sizeof how);
     }},
    {"mknod-suid", [] { return checked(::mknod("new-4", S_IFREG | 04755, 0)); }},
    // Identity.
    {"setuid-0", [] { return checked(::setresuid(0, 0, 0)); }},
    {"setgid-0", [] { return checked(::setresgid(0, 0, 0)); }},
    {"setgroups-0", [] {
       const gid_t group = 0;
       return checked(::setgroups(1, &group));
     }},
    // Large or dangerous parts of the kernel.
    {"bpf", [] {
       bpf_attr attr{};
       attr.map_type = BPF_MAP_TYPE_ARRAY;
       attr.key_size = attr.value_size = 4;
       attr.max_entries = 1;
       return call(SYS_bpf, BPF_MAP_CREATE, word(&attr), sizeof attr);
     }},
    {"perf_event_open", [] { return call(SYS_perf_event_open, 0, 0, -1, -1, 0); }},
    {"userfaultfd", [] { return call(SYS_userfaultfd, O_CLOEXEC); }},
    {"userfaultfd-user-mode", [] { return call(SYS_userfaultfd, O_CLOEXEC | 1); }},
    {"io_uring_setup", [] { return call(SYS_io_uring_setup, 1, 0); }},
    {"io_uring_enter", [] { return call(SYS_io_uring_enter, -1, 0, 0, 0, 0, 0); }},
    {"io_uring_register", [] { return call(SYS_io_uring_register, -1, 0, 0, 0); }},
    {"kexec_load", [] { return call(SYS_kexec_load, 0, 0, 0, 0); }},
    {"init_module", [] { return call(SYS_init_module, 0, 0, 0); }},
    {"finit_module", [] { return call(SYS_finit_module, -1, 0, 0); }},
    {"delete_module", [] { return call(SYS_delete_module, word("none"), 0); }},
    {"swapon", [] { return call(SYS_swapon, word("/tmp/none"), 0); }},
    {"reboot", [] { return call(SYS_reboot, 0, 0, 0, 0); }},
    {"acct", [] { return call(SYS_acct, word("/tmp/none")); }},
    {"syslog-read", [] {
       char text[256];
       return call(SYS_syslog, 3, word(text), sizeof text);
     }},
    {"syslog-size", [] { return call(SYS_syslog, 10, 0, 0); }},
    {"sethostname", [] { return checked(::sethostname("x", 1)); }},
    {"settimeofday", [] { return call(SYS_settimeofday, 0, 0); }},
    {"clock_settime", [] { return call(SYS_clock_settime, 0, 0); }},
    {"fanotify_init", [] { return call(SYS_fanotify_init, 0x200, 0); }},
    {"personality-read-implies-exec", [] { return checked(::personality(READ_IMPLIES_EXEC)); }},
    {"personality-no-aslr", [] { return checked(::personality(ADDR_NO_RANDOMIZE)); }},
    {"personality-ask", [] { return checked(::personality(0xffffffff)); }},
    {"i386-entry", i386_getpid},
    {"x32-entry", x32_getpid},
    {"beyond-the-table", [] { return call(9999); }},
    // Handles and keys.
    {"name_to_handle_at", [] { return name_handle("/usr"); }},
    {"name_to_handle_at-nsfs", [] { return name_handle("/proc/self/ns/mnt"); }},
    {"open_by_handle_at", [] { return open_handle(1, 2, "/usr"); }},
    {"open_by_handle_at-nsfs", [] { return open_handle(0xf1, 1, "/proc/self/ns/mnt"); }},
    {"keyctl-session", [] { return call(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0); }},
    {"keyctl-user", [] { return call(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1); }},
    {"add_key", [] { return call(SYS_add_key, word("user"), word("clawrun-test"), word("x"), 1, KEY_SPEC_PROCESS_KEYRING); }},
    {"request_key", [] { return call(SYS_request_key, word("user"), word("clawrun-test-secret"), 0, 0); }},
    // Other processes.
    {"process_vm_readv", [] { return call(SYS_process_vm_readv, ::getppid(), 0, 0, 0, 0, 0); }},
    {"pidfd_getfd", [] { return call(SYS_pidfd_getfd, call(SYS_pidfd_open, 1, 0), 3, 0); }},
    {"kcmp", [] { return call(SYS_kcmp, ::getpid(), ::getpid(), 0, 0, 0); }},
    {"prlimit-pid1", [] {
       const rlimit limit{1, 1};
       return checked(::prlimit(1, RLIMIT_NOFILE, &limit, nullptr));
     }},
    {"nofile-raise", [] {
       const rlimit limit{1U << 19U, 1U << 19U};
       return checked(::setrlimit(RLIMIT_NOFILE, &limit));
     }},
    // Sockets.
    {"socket-unix", [] { return make_socket(AF_UNIX, SOCK_STREAM, 0); }},
    {"socket-inet", [] { return make_socket(AF_INET, SOCK_STREAM, 0); }},
    {"socket-raw", [] { return make_socket(AF_INET, SOCK_RAW, 1); }},
    {"socket-raw6", [] { return make_socket(AF_INET6, SOCK_RAW, 58); }},
    {"socket-packet", [] { return make_socket(AF_PACKET, SOCK_RAW, 0x300); }},
    {"socket-alg", [] { return make_socket(AF_ALG, SOCK_SEQPACKET, 0); }},
    {"socket-alg-high", [] { return call(SYS_socket, static_cast<long>(AF_ALG | kHigh), SOCK_SEQPACKET, 0); }},
    {"socket-vsock", [] { return make_socket(AF_VSOCK, SOCK_STREAM, 0); }},
    {"socket-vsock-high", [] { return call(SYS_socket, static_cast<long>(AF_VSOCK | kHigh), SOCK_STREAM, 0); }},
    {"socket-rxrpc", [] { return make_socket(AF_RXRPC, SOCK_DGRAM, AF_INET); }},
    {"socket-key", [] { return make_socket(AF_KEY, SOCK_RAW, 2); }},
    {"socket-xdp", [] { return make_socket(AF_XDP, SOCK_RAW, 0); }},
    {"socket-tipc", [] { return make_socket(AF_TIPC, SOCK_RDM, 0); }},
    {"socket-bluetooth", [] { return make_socket(AF_BLUETOOTH, SOCK_RAW, 1); }},
    {"socket-can", [] { return make_socket(AF_CAN, SOCK_RAW, 1); }},
    {"netlink-route", [] { return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); }},
    {"netlink-audit", [] { return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT); }},
    {"netlink-netfilter", [] { return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER); }},
    {"netlink-uevent", [] { return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT); }},
    // Terminals.
    {"TIOCSTI", [] { return ioctl_request(TIOCSTI); }},
    {"TIOCSTI-high", [] { return ioctl_request(TIOCSTI | kHigh); }},
    {"TIOCSTI-all-high", [] { return ioctl_request(TIOCSTI | 0xffffffff00000000UL); }},
    {"TIOCLINUX", [] { return ioctl_request(kTioclinux); }},
    {"TIOCLINUX-high", [] { return ioctl_request(kTioclinux | kHigh); }},
    {"TIOCSETD", [] { return ioctl_request(TIOCSETD); }},
    {"TCGETS", [] { return ioctl_request(TCGETS); }},
};

// A call may end or change the process that makes it.
long in_child(const Attempt& attempt) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return -errno;
  const pid_t child = ::fork();
  if (child == 0) {
    const long result = attempt.run();
    [[maybe_unused]] const ssize_t written = ::write(ends[1], &result, sizeof result);
    ::_exit(0);
  }
  ::close(ends[1]);
  long result = -ESRCH;  // it died
  if (::read(ends[0], &result, sizeof result) != sizeof result) result = -ESRCH;
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return result;
}

}  // namespace

// attempts [NAME…]: all without names.
int attempts(Words words) {
  for (const Attempt& attempt : kAttempts) {
    bool wanted = words.empty();
    for (const char* name : words) wanted = wanted || attempt.name == name;
    if (wanted) say(std::string(attempt.name) + " " + outcome(in_child(attempt)));
  }
  return 0;
}

}  // namespace hostile
