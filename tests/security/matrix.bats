#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2154  # the shell inside expands; for_each sets $who
# Every system call number, called inside under each profile, against the table that the profile promises.
load helper

setup_file() {
  # What this kernel itself does not have: it says so where no filter stands in front of it.
  LACKING=$PLACE/log/lacking
  export LACKING
  seq 0 470 | sed 's/$/ allow/' >"$PLACE/log/all"
  "$PLACE/bin/clawrun" exec --rootfs host --seccomp unconfined --timeout 60s --bind "$PLACE/bin/syscall_matrix:/matrix:ro" -- /matrix \
    <"$PLACE/log/all" >"$PLACE/log/all.out" || true
  sed -n 's/^not ok .* syscall \([0-9]*\): .*got ENOSYS$/\1 kernel-lacks/p' "$PLACE/log/all.out" >"$LACKING"
}

matrix() {
  local profile=$1 text
  { cat "$LACKING"; python3 "$PLACE/bin/matrix.py" "$PLACE/bin/clawrun" "$profile"; } >"$PLACE/log/table"
  chmod a+r "$PLACE/log/table"
  [ "$(grep -c ' allow' "$PLACE/log/table")" -gt 100 ]
  [ "$(grep -cE ' (EPERM|ENOSYS)' "$PLACE/log/table")" -gt 30 ]
  text=$(clawrun_exec --seccomp "$profile" --timeout 60s --bind "$PLACE/bin/syscall_matrix:/matrix:ro" -- /matrix <"$PLACE/log/table" || true)
  has "$text" ' calls, 0 not as promised'
  same "$(printf '%s\n' "$text" | grep '^not ok' || true)" ''
}

@test "the kernel without a filter answers most numbers" {
  [ "$(wc -l <"$LACKING")" -lt 120 ]
  # Unfiltered, and yet compared with the table of a profile: the comparison finds what is not as promised.
  python3 "$PLACE/bin/matrix.py" "$PLACE/bin/clawrun" default >"$PLACE/log/table"
  run "$PLACE/bin/clawrun" exec --rootfs host --seccomp unconfined --timeout 60s --bind "$PLACE/bin/syscall_matrix:/matrix:ro" -- /matrix <"$PLACE/log/table"
  [ "$status" -eq 1 ]
  has "$output" 'not ok'
}

@test "every system call under the profile default" { for_each matrix default; }
@test "every system call under the profile strict" { for_each matrix strict; }
@test "every system call under the profile network" { for_each matrix network; }
@test "every system call under the profile docker-compatible" { for_each matrix docker-compatible; }

strict_runs_nothing_more() {
  local text
  clawrun_exec --seccomp strict -- /hostile descriptors
  text=$(clawrun_exec --seccomp strict -- sh -c '/bin/true; echo "status $?"' 2>&1)
  lacks "$text" 'status 0'
  # Static programs: a dynamic loader that may be executed runs any program.
  text=$(clawrun_exec --seccomp strict --bind /bin/busybox:/busybox:ro --allow-exec /busybox -- /busybox sh -c '/busybox true; echo "status $?"; /hostile attempts bpf; echo "status $?"; /usr/bin/id' 2>&1 || true)
  has "$text" 'status 0'
  has "$text" 'status 126'
  lacks "$text" 'bpf E'
  lacks "$text" uid=
}

@test "strict: no program after the first but those that are named" { for_each strict_runs_nothing_more; }

high_bits_of_a_family() {
  answers "$(hostile --seccomp docker-compatible -- attempts socket-vsock socket-vsock-high socket-inet)" socket-vsock=EPERM socket-vsock-high=EPERM socket-inet=OK
  answers "$(hostile -- attempts socket-alg-high socket-vsock-high)" socket-alg-high=EAFNOSUPPORT socket-vsock-high=EAFNOSUPPORT
}

@test "a socket family with high bits is the family that the kernel sees" { for_each high_bits_of_a_family; }
