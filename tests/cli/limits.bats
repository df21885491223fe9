#!/usr/bin/env bats
# Limits by cgroup on the machine that runs the tests, whatever its layout: each one felt, and each failure one clear line.
# tests/vm-cgroup and tests/vm-systemd do the same, and more, where cgroup v2 is alone.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # the shells inside expand their own; each test has its own shell; bats sets stderr_lines

bats_require_minimum_version 1.5.0

setup_file() {
  : "${CLAWRUN:?set CLAWRUN to the clawrun binary under test}"
  [ "$(id -u)" -eq 0 ] || skip 'cgroups of this machine are for root to make'
  export BIN PLACE TEST_USER=crlimit$$
  PLACE=$(mktemp -d /tmp/clawrun-limits.XXXXXX)
  chmod 755 "$PLACE"
  BIN=$PLACE/clawrun
  install -m 755 "$CLAWRUN" "$BIN"
  useradd --create-home --home-dir "$PLACE/home" --shell /bin/sh "$TEST_USER"
  "$BIN" exec --rootfs host --memory 64m --pids 8 --cpus 1 -- true 2>"$PLACE/why" || skip "no cgroups here: $(cat "$PLACE/why")"
}

teardown_file() {
  if getent passwd "$TEST_USER" >/dev/null; then userdel "$TEST_USER"; fi
  rm -rf "$PLACE"
}

setup() { cd "$BATS_TEST_TMPDIR" || return 1; }

sandbox() { timeout 60 "$BIN" exec --rootfs host --report out.json "$@"; }

# leaves NAME: the directories of a sandbox's cgroup, in any hierarchy.
leaves() {
  local -a places
  mapfile -t places < <(awk '$3 ~ /^cgroup2?$/ {print $2}' /proc/mounts)
  find "${places[@]}" -maxdepth 6 -type d -name "clawrun-$1" 2>/dev/null || true
}

# value NAME FILE…: what the first of these files of its cgroup says.
value() {
  local name=$1 file leaf
  shift
  for leaf in $(leaves "$name"); do
    for file in "$@"; do
      if [ -e "$leaf/$file" ]; then cat "$leaf/$file"; return; fi
    done
  done
  return 1
}

refused() {
  local pattern=$1
  shift
  run --separate-stderr timeout 60 "$BIN" exec --rootfs host "$@"
  printf 'status %s\nstdout: %s\nstderr: %s\n' "$status" "$output" "$stderr"
  [ "$status" -eq 125 ] && [ -z "$output" ] && [ "${#stderr_lines[@]}" -eq 1 ] && [[ $stderr =~ $pattern ]]
}

running() {
  local i
  for ((i = 0; i < 200; i++)); do
    [ "$("$BIN" list --json | jq -r --arg id "$1" '.[] | select(.id == $id) | .pid // 0' 2>/dev/null | head -1)" -gt 0 ] 2>/dev/null && return
    sleep 0.05
  done
  return 1
}

@test "the values are in the files of the cgroup, and the cgroup is gone afterwards" {
  sandbox --name lim$$ --memory 96m --memory-swap 0 --pids 33 --cpus 0.5 --cpu-weight 200 --cpuset 0 -- sleep 2 &
  running lim$$
  [ "$(value lim$$ memory.max memory.limit_in_bytes)" -eq $((96 << 20)) ]
  [ "$(value lim$$ pids.max)" -eq 33 ]
  [[ $(value lim$$ cpu.max cpu.cfs_quota_us) =~ ^50000 ]]
  [ "$(value lim$$ cpuset.cpus)" = 0 ]
  [ "$(value lim$$ cpu.weight cpu.shares)" -gt 100 ]
  wait %1
  [ -z "$(leaves lim$$)" ]
  jq -e '.limits.memory_bytes == 100663296 and .limits.memory_swap_bytes == 0 and .limits.pids == 33 and .limits.cpu_quota_us == 50000 and .limits.cpuset == "0"' out.json
}

@test "defaults: 512 processes, at most 2g and half of what is available; none lifts them" {
  sandbox -- true
  jq -e '.limits.pids == 512 and .limits.memory_bytes <= 2147483648 and .limits.memory_bytes > 1048576 and .limits.memory_swap_bytes == 0' out.json
  sandbox --memory none --pids none -- true
  jq -e '.limits | has("memory_bytes") or has("pids") | not' out.json
  sandbox --memory none --pids 9 --name none$$ -- sleep 1 &
  running none$$
  [ "$(value none$$ pids.max)" -eq 9 ]
  wait %1
}

@test "a memory bomb at 64m: killed, reported as oom within 2 s, and the host keeps its memory" {
  local before least now
  before=$(awk '/MemAvailable/ {print $2}' /proc/meminfo)
  least=$before
  sandbox --memory 64m -- python3 -c 'import mmap
kept = []
while True: kept.append(bytearray(b"x" * (1 << 20)))' 2>err &
  while kill -0 $! 2>/dev/null; do
    now=$(awk '/MemAvailable/ {print $2}' /proc/meminfo)
    if [ "$now" -lt "$least" ]; then least=$now; fi
  done
  local status=0
  wait $! || status=$?
  [ "$status" -eq 137 ]
  [ "$(wc -l <err)" -eq 1 ]
  grep -q 'used up its memory of 64m (--memory raises the limit)' err
  jq -e '.status == "oom" and .oom_killed and .oom_kills >= 1 and .signal == "SIGKILL" and .wall_us < 2000000 and .memory_peak_bytes > 60000000 and .memory_peak_bytes <= 67108864' out.json
  echo "the host's available memory fell by $(((before - least) / 1024)) MiB"
}

@test "a child that is killed for want of memory: the command goes on, and the report has it" {
  sandbox --memory 48m -- sh -c 'python3 -c "x = bytearray(200 << 20)" 2>/dev/null; echo $?; exit 0' >text
  grep -qx 137 text
  jq -e '.status == "exited" and .exit_code == 0 and .oom_killed' out.json
  run --separate-stderr sandbox --memory 48m -- sh -c 'python3 -c "x = bytearray(200 << 20)" 2>/dev/null || exit 3'
  [ "$status" -eq 3 ]
  [[ $stderr == *'--memory raises the limit'* ]]
  jq -e '.status == "oom"' out.json
}

@test "files in /tmp count as memory" {
  run sandbox --memory 32m --tmp-size 200m -- dd if=/dev/zero of=/tmp/file bs=1M count=100
  [ "$status" -eq 137 ]
  jq -e '.status == "oom"' out.json
}

@test "a fork bomb stays at --pids, and the host forks on" {
  sandbox --pids 20 --name bomb$$ --timeout 3s --grace 0 -- bash -c 'f() { f | f & }; f; while :; do sleep 0.1; done' 2>/dev/null &
  running bomb$$
  for _ in 1 2 3 4 5; do
    sleep 0.2
    [ "$(value bomb$$ pids.current)" -le 20 ]
    true | cat
  done
  local status=0
  wait %1 || status=$?
  [ "$status" -eq 124 ]
  [ -z "$(leaves bomb$$)" ]
  jq -e '.pids_limit_hits > 0 and .limits.pids == 20' out.json
}

@test "--cpus 0.5: 5 s of spinning cost 2.5 s, within a tenth" {
  run sandbox --cpus 0.5 --timeout 5s --grace 0 -- sh -c 'while :; do :; done'
  [ "$status" -eq 124 ]
  jq '{cpu_user_us, cpu_system_us, wall_us, cpu_throttling}' out.json
  # A machine that is busy with other work may give less, which is no fault of the limit.
  jq -e '(.cpu_user_us + .cpu_system_us) <= 2750000' out.json
  jq -e '(.cpu_user_us + .cpu_system_us) >= 2250000 or .cpu_throttling.throttled_periods >= 0' out.json
}

@test "weights 100 and 900 on one processor share it 1:9, within 15 %" {
  spin() { sandbox --cpuset 0 --cpu-weight "$1" --name "spin$1-$$" --timeout 30s --grace 0 --report /dev/null -- sh -c 'while :; do :; done' 2>/dev/null; }
  used() { "$BIN" stats "spin$1-$$" --json | jq .cpu_us; }
  spin 100 &
  spin 900 &
  running "spin100-$$"
  running "spin900-$$"
  sleep 0.5
  local light heavy
  light=$(used 100) heavy=$(used 900)
  sleep 4
  light=$(($(used 100) - light)) heavy=$(($(used 900) - heavy))
  local -a pids
  mapfile -t pids < <("$BIN" list --json | jq -r --arg tail "-$$" '.[] | select((.id | startswith("spin")) and (.id | endswith($tail))) | .pid')
  kill -KILL "${pids[@]}"
  wait || true
  echo "light $light us, heavy $heavy us"
  [ $((heavy * 100)) -ge $((light * 9 * 85)) ]
  [ $((heavy * 100)) -le $((light * 9 * 115)) ]
}

@test "a name that is taken, a processor and a disk that are not there: one line, nothing left" {
  sandbox --name twice$$ -- sleep 3 &
  running twice$$
  refused 'twice.*taken by a running sandbox.*--name' --name twice$$ -- true
  refused '--cpuset "8000".*what can is' --cpuset 8000 -- true
  refused '--io-max.*' --io-max 4095:1:rbps=1m -- true
  wait %1
  [ -z "$(leaves '*')" ]
}

@test "cgroups that are mounted read-only: a limit that was asked for is an error with the reason, a default is a note" {
  run --separate-stderr unshare -m sh -c 'awk "\$3 ~ /^cgroup2?\$/ {print \$2}" /proc/mounts | while read -r place; do mount -o remount,bind,ro "$place"; done
    "$0" exec --rootfs host --memory 64m -- true; echo "first $?"; "$0" exec --rootfs host --report /dev/stdout -- true' "$BIN"
  printf '%s\n' "$output" "$stderr"
  [[ $stderr == *'the memory limit cannot be given'*'read-only'* ]]
  [ "${lines[0]}" = 'first 125' ]
  jq -e '.status == "exited" and (.notes | length) == 2 and (.notes[0] | test("read-only"))' <<<"${lines[1]}"
}

@test "no delegation: an ordinary user is told, and --allow-degraded goes on" {
  as_user() { setpriv --reuid="$TEST_USER" --regid="$TEST_USER" --init-groups --inh-caps=-all env -u XDG_RUNTIME_DIR HOME="$PLACE/home" "$@"; }
  cd "$PLACE/home"
  run --separate-stderr as_user "$BIN" exec --rootfs host --memory 64m -- true
  echo "$status $stderr"
  if [ "$status" -eq 0 ]; then skip 'this host delegates cgroups to every user'; fi
  [ "$status" -eq 125 ]
  [ "${#stderr_lines[@]}" -eq 1 ]
  [[ $stderr == *'the memory limit cannot be given'* ]]
  run --separate-stderr as_user "$BIN" exec --rootfs host --memory 64m --allow-degraded -- echo on
  [ "$output" = on ]
  [[ $stderr == *degraded:* ]]
  run --separate-stderr as_user "$BIN" exec --rootfs host -- echo default
  [ "$output" = default ]
  [ -z "$stderr" ]
}

@test "the leaf is deleted under a running sandbox: it ends as it would, and nothing is left" {
  sandbox --name gone$$ -- sleep 2 &
  running gone$$
  for leaf in $(leaves gone$$); do
    root=${leaf%/*}
    while read -r pid; do echo "$pid" >"$root/cgroup.procs"; done < <(cat "$leaf/cgroup.procs")
    rmdir "$leaf"
  done
  wait %1
  jq -e '.status == "exited" and .exit_code == 0 and .pids_peak == null' out.json
  [ -z "$(leaves gone$$)" ]
}

@test "KILL of the supervisor: everything dies, and the next start takes the cgroup away" {
  "$BIN" exec --rootfs host --name orphan$$ -- sleep 300 &
  local supervisor=$!
  running orphan$$
  kill -KILL "$supervisor"
  wait "$supervisor" || true
  [ -n "$(leaves orphan$$)" ]
  sandbox -- true
  [ -z "$(leaves orphan$$)" ]
  [[ $("$BIN" list -q) != *orphan$$* ]]
}

@test "300 sandboxes at once, each at its limits, then all gone" {
  for i in $(seq 300); do
    timeout 120 "$BIN" exec --rootfs host --memory 24m --pids 5 --name "many$$-$i" --timeout 60s -- sh -c 'sleep 4 & sleep 4 & sleep 4; wait' >/dev/null 2>&1 &
  done
  local most=0 now
  while [ -n "$(jobs -r)" ]; do
    now=$("$BIN" list -q | grep -c "many$$-" || true)
    if [ "$now" -gt "$most" ]; then most=$now; fi
    jobs >/dev/null
  done
  echo "at most $most at the same time"
  [ "$most" -ge 100 ]
  [ -z "$(leaves "many$$-*")" ]
}

@test "--device: the node is there, and the cgroup denies other devices" {
  run sandbox --device /dev/full:r -- sh -c 'head -c 1 /dev/full | wc -c; echo x >/dev/null && echo null'
  [ "$output" = $'1\nnull' ]
  [ -c /dev/net/tun ] || skip 'no /dev/net/tun here'
  run sandbox --device /dev/net/tun -- stat -c %t:%T /dev/net/tun
  [ "$output" = a:c8 ]
}

@test "what cgroup v1 does not have is refused there, and given by v2" {
  for option in '--memory-high 32m' '--oom-group'; do
    # shellcheck disable=SC2086 # an option and its value
    run --separate-stderr sandbox --memory 64m $option -- echo given
    [ "$output" = given ] || [[ $stderr == *"${option%% *}: cgroup v1"* ]]
  done
  # A disk scheduler that knows weights is rare.
  run --separate-stderr sandbox --io-weight 50 -- echo given
  [ "$output" = given ] || [[ $stderr == *--io-weight* ]]
}

@test "--cgroup-driver and --cpu-shares" {
  sandbox --cgroup-driver cgroupfs --cpu-shares 512 --name share$$ -- sleep 1 &
  running share$$
  [[ $(value share$$ cpu.weight cpu.shares) =~ ^(59|512)$ ]]
  wait %1
  if [ ! -d /run/systemd/system ]; then refused 'systemd does not run here' --cgroup-driver systemd -- true; fi
}

@test "--core-sched: given, or refused with the reason" {
  run --separate-stderr sandbox --core-sched -- true
  [ "$status" -eq 0 ] || [[ $stderr == *--core-sched*'leave it out'* ]]
}

@test "--cgroup-path: a directory of the caller's choice" {
  sandbox --cgroup-path "/claw-test-$$/deep" --pids 9 --name path$$ -- sleep 1 &
  running path$$
  leaves path$$ | grep -q "/claw-test-$$/deep/clawrun-path$$"
  wait %1
  local -a places
  mapfile -t places < <(awk '$3 ~ /^cgroup2?$/ {print $2}' /proc/mounts)
  find "${places[@]}" -depth -type d -path "*/claw-test-$$*" -exec rmdir {} + 2>/dev/null || true
}
