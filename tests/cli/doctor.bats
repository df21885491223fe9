#!/usr/bin/env bats
# `clawrun doctor`: what it says as root, as a user, and where something is blocked. The binary is $CLAWRUN.
# shellcheck disable=SC2016  # the scripts in single quotes get their values as arguments

setup_file() {
  : "${CLAWRUN:?set CLAWRUN to the clawrun binary under test}"
  command -v jq >/dev/null || { echo "needs jq" >&2; return 1; }
  export DIR BIN DENY TEST_USER=crdoc$$
  DIR=$(mktemp -d /tmp/clawrun-doctor.XXXXXX)
  chmod 755 "$DIR"
  BIN=$DIR/clawrun
  DENY=$DIR/deny
  install -m 755 "$CLAWRUN" "$BIN"
  build_deny
}

teardown_file() {
  rm -rf "$DIR"
  if getent passwd "$TEST_USER" >/dev/null; then userdel "$TEST_USER"; fi
}

# deny ERRNO NUMBER... -- COMMAND: the command under a seccomp filter that answers ERRNO to these system calls;
# ERRNO "kill" kills the process instead.
build_deny() {
  cat >"$DIR/deny.c" <<'C'
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv) {
  struct sock_filter code[128];
  int i, n = 0;
  if (argc < 4) return 125;
  unsigned answer = strcmp(argv[1], "kill") ? SECCOMP_RET_ERRNO | (unsigned)atoi(argv[1]) : SECCOMP_RET_KILL_PROCESS;
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (i = 2; i < argc && strcmp(argv[i], "--"); i++) {
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(argv[i]), 0, 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, answer);
  }
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {(unsigned short)n, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 125;
  execv(argv[i + 1], argv + i + 1);
  perror(argv[i + 1]);
  return 125;
}
C
  cc -O1 -o "$DIR/deny" "$DIR/deny.c"
}

# The number of a system call on this architecture.
nr() {
  printf '#include <sys/syscall.h>\nSYS_%s\n' "$1" | cc -E -P -x c - | tail -n 1
}

field() { # ID FIELD, of the JSON in $output
  jq -r --arg id "$1" ".checks[] | select(.id == \$id) | .$2" <<<"$output"
}

need_root() {
  [ "$(id -u)" -eq 0 ] || skip "needs root"
}

@test "doctor --json is one object of the documented shape" {
  run "$BIN" doctor --json
  [ "$status" -le 1 ]
  jq -e '(keys_unsorted == ["clawrun", "kernel", "checks", "verdict"]) and (.checks | length > 40)
    and (.checks | all(keys_unsorted == ["id", "title", "status", "found", "lost", "remedy"]))
    and (.checks | all(.status | IN("ok", "degraded", "missing", "info")))
    and ([.checks[].id] | length == (unique | length))
    and (.checks | all((.lost == "") == (.remedy == "")))
    and (.verdict | IN("ready", "degraded", "unable"))' <<<"$output"
  [ "$(jq -r .kernel <<<"$output")" = "$(uname -r)" ]
}

@test "the text ends with the verdict and names every check of the JSON" {
  run "$BIN" doctor
  [ "$status" -le 1 ]
  [[ ${lines[-1]} =~ ^(ready|degraded|unable):\ .clawrun\ exec. ]]
  text=$output
  run "$BIN" doctor --json
  while IFS= read -r title; do
    [[ $text == *"$title"* ]]
  done < <(jq -r '.checks[].title' <<<"$output")
  [[ $text != *$'\e'* ]]
}

@test "unknown words name the nearest known one" {
  run "$BIN" doctor --jsno
  [ "$status" -eq 2 ]
  [[ $output == *'"--jsno"'*'did you mean "--json"?'* ]]
  run "$BIN" doctor extra
  [ "$status" -eq 2 ]
  run "$BIN" doctor --help
  [ "$status" -eq 0 ]
  [[ $output == "Usage: clawrun doctor"* ]]
}

@test "doctor leaves no process, mount, file or keyring behind" {
  cd "$DIR"
  before=$(cat /proc/self/mountinfo; ls -A "$DIR")
  keys=$(wc -l </proc/keys)
  run "$BIN" doctor
  [ "$before" = "$(cat /proc/self/mountinfo; ls -A "$DIR")" ]
  run pgrep -f "^$BIN doctor"
  [ "$status" -eq 1 ]
  # The kernel collects dead keyrings a moment later.
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ "$(wc -l </proc/keys)" -gt "$keys" ] || break
    sleep 0.2
  done
  [ "$(wc -l </proc/keys)" -le "$keys" ]
}

@test "doctor works with closed and with full stdio" {
  "$BIN" doctor <&- 2>&- | grep -q '^Here'
  run sh -c '"$1" doctor --json <&- | jq -e .verdict' sh "$BIN"
  [ "$status" -eq 0 ]
}

@test "an ordinary user gets answers of their own" {
  need_root
  user=$TEST_USER
  useradd --no-create-home --shell /bin/sh "$user"
  run setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups "$BIN" doctor --json
  sub=$(grep -c "^$user:" /etc/subuid || true)
  userdel "$user"
  [ "$status" -le 1 ]
  [[ $(field host.caller found) == *"without privileges"* ]]
  [[ $(field mount.idmap_root found) == "not tried"* ]]
  if [ "$sub" -gt 0 ]; then
    [ "$(field userns.subuid status)" = ok ]
  else
    [[ $(field userns.subuid remedy) == "sudo usermod --add-subuids "*" $user" ]]
  fi
}

@test "user.max_user_namespaces=0 is named with its remedy" {
  # The sysctl belongs to the user namespace that is made here, not to the machine.
  unshare -rm true || skip "needs user namespaces"
  run unshare -rm sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$1" doctor --json' sh "$BIN"
  [ "$status" -eq 1 ]
  [ "$(jq -r .verdict <<<"$output")" = unable ]
  [ "$(field userns.create status)" = missing ]
  [[ $(field userns.create found) == *ENOSPC*"user.max_user_namespaces=0"* ]]
  [ "$(field userns.create remedy)" = "sysctl -w user.max_user_namespaces=15000" ]
  [ "$(field userns.max status)" = missing ]
}

@test "a chroot is named as the reason" {
  need_root
  mkdir -p "$DIR/root/proc"
  cp "$BIN" "$DIR/root/clawrun"
  run unshare -m sh -c 'mount --bind /proc "$1/proc" && exec chroot "$1" /clawrun doctor --json' sh "$DIR/root"
  [ "$status" -eq 1 ]
  [[ $(field userns.create found) == *"in a chroot"* ]]
  [ "$(field userns.chroot status)" = missing ]
}

@test "a masked /proc is named as the reason why no new one can be had" {
  need_root
  run unshare -m sh -c 'mount -t tmpfs none /proc/tty && exec "$1" doctor --json' sh "$BIN"
  [ "$status" -eq 1 ]
  [ "$(field mount.proc status)" = missing ]
  [[ $(field mount.proc found) == *"masked or read-only"* ]]
  [[ $(field mount.proc remedy) == "umount"* ]]
}

@test "without /proc the remedy is to mount it" {
  need_root
  run unshare -m sh -c 'mount -t tmpfs none /proc && exec "$1" doctor --json' sh "$BIN"
  [ "$status" -eq 1 ]
  [ "$(field userns.create remedy)" = "mount -t proc proc /proc" ]
}

@test "nested in a user namespace doctor still answers" {
  unshare -rm true || skip "needs user namespaces"
  run unshare -rm "$BIN" doctor --json
  [ "$status" -le 1 ]
  [[ $(field host.caller found) == *"without the machine's capabilities"* ]]
}

@test "clone3 and Landlock hidden by ENOSYS are told from an old kernel" {
  run "$DENY" 38 "$(nr clone3)" "$(nr landlock_create_ruleset)" "$(nr landlock_add_rule)" "$(nr landlock_restrict_self)" -- "$BIN" doctor --json
  [ "$status" -eq 0 ]
  [ "$(jq -r .verdict <<<"$output")" = degraded ]
  [ "$(field kernel.clone3 status)" = degraded ]
  [[ $(field kernel.clone3 found) == *"seccomp filter"* ]]
  [[ $(field kernel.clone3 remedy) == *seccomp* ]]
  [ "$(field landlock.abi status)" = missing ]
  [[ $(field landlock.abi found) == *"seccomp filter"* ]]
  [[ $(field host.blocked_syscalls found) == *clone3*landlock_create_ruleset* ]]
  [[ $(field host.seccomp_inherited found) == yes* ]]
  [ "$(field kernel.openat2 status)" = ok ]
}

@test "each refused system call is reported" {
  for call in openat2 close_range mount_setattr pidfd_open execveat setns keyctl; do
    run "$DENY" 1 "$(nr "$call")" -- "$BIN" doctor --json
    [ "$status" -le 1 ]
    [ "$(field host.blocked_syscalls found)" = "$call" ]
  done
}

@test "a filter that refuses unshare and mounts, as container managers load it" {
  run "$DENY" 1 "$(nr unshare)" "$(nr mount)" "$(nr fsopen)" "$(nr open_tree)" "$(nr move_mount)" "$(nr pivot_root)" -- "$BIN" doctor --json
  [ "$status" -eq 1 ]
  [ "$(field userns.create status)" = missing ]
  [[ $(field userns.create found) == *"seccomp filter"* ]]
  [ "$(field kernel.mount_api status)" = missing ]
}

@test "a refused new mount API alone makes exec impossible and says so" {
  run "$DENY" 38 "$(nr fsopen)" "$(nr fsconfig)" "$(nr fsmount)" "$(nr open_tree)" "$(nr move_mount)" -- "$BIN" doctor --json
  [ "$status" -eq 1 ]
  [[ $(field kernel.mount_api found) == *"fsopen, fsconfig, fsmount, open_tree, move_mount"* ]]
}

@test "a filter that kills is survived and named" {
  run "$DENY" kill "$(nr keyctl)" "$(nr setns)" -- "$BIN" doctor --json
  [ "$status" -le 1 ]
  [ "$(field host.blocked_syscalls found)" = "setns, keyctl" ]
}

@test "a read-only cgroupfs takes the limits away, and the remedy names where it is" {
  need_root
  run unshare -m sh -c 'for m in $(awk '"'"'/ - cgroup2? /{print $5}'"'"' /proc/self/mountinfo); do mount -o remount,bind,ro "$m" || exit 77; done
    exec "$1" doctor --json' sh "$BIN"
  [ "$status" -ne 77 ] || skip "cgroups cannot be remounted here"
  [ "$(field cgroup.limits status)" = missing ]
  [[ $(field cgroup.limits found) == "none: "*"mounted read-only" ]]
  [[ $(field cgroup.limits remedy) == *"remount,rw"* || $(field host.container found) == "inside"* ]]
  [ "$(jq -r .verdict <<<"$output")" != ready ]
}

@test "without cgroups the limits are missing, and the verdict says so" {
  need_root
  run unshare -m sh -c 'umount -R /sys/fs/cgroup || exit 77; exec "$1" doctor --json' sh "$BIN"
  [ "$status" -ne 77 ] || skip "cgroups cannot be unmounted here"
  [ "$(field cgroup.limits status)" = missing ]
  [[ $(field cgroup.limits lost) == *"--memory"*"--pids"* ]]
  [ "$(jq -r .verdict <<<"$output")" = degraded ]
}

@test "inside bwrap doctor answers and names what bwrap took" {
  command -v bwrap >/dev/null || skip "needs bwrap"
  bwrap --unshare-all --bind / / --dev /dev --proc /proc true || skip "bwrap does not work here"
  run bwrap --unshare-all --disable-userns --unshare-user --bind / / --dev /dev --proc /proc "$BIN" doctor --json
  [ "$status" -eq 1 ]
  [[ $(field userns.create found) == *"user.max_user_namespaces"* ]]
}

@test "the marks of container managers are recognised" {
  need_root
  run env KUBERNETES_SERVICE_HOST=10.0.0.1 "$BIN" doctor --json
  [[ $(field host.container found) == *"Kubernetes"*"KUBERNETES_SERVICE_HOST"* ]]
  mkdir -p "$DIR/mark/proc"
  cp "$BIN" "$DIR/mark/clawrun"
  : >"$DIR/mark/.dockerenv"
  run unshare -mpf sh -c 'mount -t proc proc "$1/proc" && exec chroot "$1" /clawrun doctor --json' sh "$DIR/mark"
  [[ $(field host.container found) == "inside Docker"* ]]
}
