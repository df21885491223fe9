#!/usr/bin/env bats
# The command on kernels that lack a system call: with each of them refused, `exec` works by the fallback that its probe chose,
# or ends with 125 and one line that names what is missing. As root and as an ordinary user.

setup_file() {
  # An ordinary user may not reach into the checkout.
  PLACE=$(mktemp -d /tmp/clawrun-fault.XXXXXX)
  export PLACE
  cp "$CLAWRUN" "$PLACE/clawrun"
  cp "$CLAWRUN_BUILD/tests/fault/deny" "$PLACE/deny"
  chmod -R a+rX "$PLACE"
}

teardown_file() {
  rm -rf "$PLACE"
}

# as WHO COMMAND…: as root (only root can be that) or as an ordinary user.
as() {
  local who=$1
  shift
  case $who in
    root)
      [ "$(id -u)" -eq 0 ] || skip 'the tests are not run by root'
      "$@"
      ;;
    user)
      if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all env -u XDG_RUNTIME_DIR HOME=/nonexistent "$@"
      else
        "$@"
      fi
      ;;
  esac
}

# without WHO CALLS WORDS [OPTION…]: CALLS are refused; the outcome is a success, or an error with one of WORDS (an extended
# regular expression) in it.
without() {
  local who=$1 calls=$2 words=$3 status=0
  shift 3
  cd "$PLACE" || return 1
  # shellcheck disable=SC2016 # the shell inside expands it
  as "$who" ./deny "$calls" -- ./clawrun exec --rootfs host "$@" -- sh -c 'echo out $((6*7)); echo err >&2; exit 9' \
    >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" || status=$?
  printf 'status %s\nstdout: %s\nstderr: %s\n' "$status" "$(cat "$BATS_TEST_TMPDIR/out")" "$(cat "$BATS_TEST_TMPDIR/err")"
  if [ "$status" -eq 9 ]; then
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = 'out 42' ] || return 1
    [ "$(cat "$BATS_TEST_TMPDIR/err")" = err ] || return 1
    return
  fi
  [ "$status" -eq 125 ] || return 1
  [ ! -s "$BATS_TEST_TMPDIR/out" ] || return 1
  [ "$(wc -l <"$BATS_TEST_TMPDIR/err")" -eq 1 ] || return 1
  grep -qiE -- "$words" "$BATS_TEST_TMPDIR/err"
}

@test "without clone3, as root" {
  without root clone3 'clone3'
}

@test "without clone3, as user" {
  without user clone3 'clone3'
}

@test "without openat2, as root" {
  without root openat2 'openat2'
}

@test "without openat2, as user" {
  without user openat2 'openat2'
}

@test "without close_range, as root" {
  without root close_range 'close_range'
}

@test "without close_range, as user" {
  without user close_range 'close_range'
}

@test "without mount_setattr, as root" {
  without root mount_setattr 'mount_setattr'
}

@test "without mount_setattr, as user" {
  without user mount_setattr 'mount_setattr'
}

@test "without open_tree, as root" {
  without root open_tree 'open_tree|mount API'
}

@test "without open_tree, as user" {
  without user open_tree 'open_tree|mount API'
}

@test "without fsopen, as root" {
  without root fsopen 'fsopen|mount API'
}

@test "without fsopen, as user" {
  without user fsopen 'fsopen|mount API'
}

@test "without fsconfig, as root" {
  without root fsconfig 'fsconfig|fsopen|mount API'
}

@test "without fsconfig, as user" {
  without user fsconfig 'fsconfig|fsopen|mount API'
}

@test "without fsmount, as root" {
  without root fsmount 'fsmount|mount API|mounting'
}

@test "without fsmount, as user" {
  without user fsmount 'fsmount|mount API|mounting'
}

@test "without move_mount, as root" {
  without root move_mount 'move_mount|mount API'
}

@test "without move_mount, as user" {
  without user move_mount 'move_mount|mount API'
}

@test "without pidfd_open, as root" {
  without root pidfd_open 'pidfd'
}

@test "without pidfd_open, as user" {
  without user pidfd_open 'pidfd'
}

@test "without pidfd_send_signal, as root" {
  without root pidfd_send_signal 'pidfd'
}

@test "without pidfd_send_signal, as user" {
  without user pidfd_send_signal 'pidfd'
}

@test "without every pidfd call, as root" {
  without root pidfd_open,pidfd_send_signal,pidfd_getfd 'pidfd'
}

@test "without every pidfd call, as user" {
  without user pidfd_open,pidfd_send_signal,pidfd_getfd 'pidfd'
}

@test "without landlock, as root" {
  without root landlock_create_ruleset,landlock_add_rule,landlock_restrict_self 'landlock'
}

@test "without landlock, as user" {
  without user landlock_create_ruleset,landlock_add_rule,landlock_restrict_self 'landlock'
}

@test "without landlock_add_rule, as root" {
  without root landlock_add_rule 'landlock'
}

@test "without landlock_add_rule, as user" {
  without user landlock_add_rule 'landlock'
}

@test "without landlock_restrict_self, as root" {
  without root landlock_restrict_self 'landlock'
}

@test "without landlock_restrict_self, as user" {
  without user landlock_restrict_self 'landlock'
}

@test "without seccomp, as root" {
  without root seccomp 'seccomp'
}

@test "without seccomp, as user" {
  without user seccomp 'seccomp'
}

@test "without keyctl, as root" {
  without root keyctl 'keyctl|keyring'
}

@test "without keyctl, as user" {
  without user keyctl 'keyctl|keyring'
}

@test "without memfd_create, as root" {
  without root memfd_create 'memfd'
}

@test "without memfd_create, as user" {
  without user memfd_create 'memfd'
}

@test "without unshare, as root" {
  without root unshare 'unshare|namespace'
}

@test "without unshare, as user" {
  without user unshare 'unshare|namespace'
}

@test "without pivot_root, as root" {
  without root pivot_root 'pivot_root|new root'
}

@test "without pivot_root, as user" {
  without user pivot_root 'pivot_root|new root'
}

@test "without mount, as root" {
  without root mount 'mount'
}

@test "without mount, as user" {
  without user mount 'mount'
}

@test "without epoll_pwait2, as root" {
  without root epoll_pwait2 'epoll'
}

@test "without epoll_pwait2, as user" {
  without user epoll_pwait2 'epoll'
}

@test "without waitid, as root" {
  without root waitid 'waitid|wait'
}

@test "without waitid, as user" {
  without user waitid 'waitid|wait'
}

@test "without execveat, as root" {
  without root execveat 'execveat|executing init'
}

@test "without execveat, as user" {
  without user execveat 'execveat|executing init'
}

@test "without statx, as root" {
  without root statx 'statx'
}

@test "without statx, as user" {
  without user statx 'statx'
}

@test "without faccessat2, as root" {
  without root faccessat2 'faccessat2'
}

@test "without faccessat2, as user" {
  without user faccessat2 'faccessat2'
}

@test "without prlimit64, as root" {
  without root prlimit64 'prlimit|rlimit|limit'
}

@test "without prlimit64, as user" {
  without user prlimit64 'prlimit|rlimit|limit'
}

@test "without umount2, as root" {
  without root umount2 "umount|host's root"
}

@test "without umount2, as user" {
  without user umount2 "umount|host's root"
}

@test "without getrandom, as root" {
  without root getrandom 'getrandom|random'
}

@test "without getrandom, as user" {
  without user getrandom 'getrandom|random'
}

@test "what runs without openat2 and close_range is as closed: no descriptor is left over" {
  cd "$PLACE" || return 1
  run as user ./deny openat2,close_range -- ./clawrun exec --rootfs host -- sh -c 'ls /proc/self/fd | wc -l' 7</dev/null
  printf '%s\n' "$output"
  # Either one clear error, or stdio and the descriptor of ls itself.
  [ "$status" -eq 125 ] || [ "$output" = 4 ]
}

@test "the helper refuses what it is told to" {
  cd "$PLACE" || return 1
  run ./deny mount --errno 1 -- sh -c 'exit 3'
  [ "$status" -eq 3 ]
  run ./deny openat2,no_such_call -- true
  [ "$status" -eq 99 ]
  run ./deny statx,newfstatat --errno 38 -- true
  [ "$status" -eq 99 ]
}
