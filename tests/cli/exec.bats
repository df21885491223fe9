#!/usr/bin/env bats
# The command line contract of `clawrun exec`: every option, the exit statuses, the report, the plan, signals and time.
# As root and as an ordinary user where the two differ. The binary is $CLAWRUN.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # the shells inside expand their own; each test has its own shell; bats sets stderr_lines

bats_require_minimum_version 1.5.0

setup_file() {
  : "${CLAWRUN:?set CLAWRUN to the clawrun binary under test}"
  # An ordinary user may not reach into the checkout.
  export PLACE BIN TEST_USER=crexec$$
  PLACE=$(mktemp -d /tmp/clawrun-exec.XXXXXX)
  chmod 755 "$PLACE"
  BIN=$PLACE/clawrun
  install -m 755 "$CLAWRUN" "$BIN"
  install -m 755 "$CLAWRUN_BUILD/tests/fault/deny" "$PLACE/deny"
  install -m 644 "$BATS_TEST_DIRNAME/plan_matches.py" "$PLACE"
  if [ "$(id -u)" -eq 0 ]; then useradd --create-home --home-dir "$PLACE/home" --shell /bin/sh "$TEST_USER"; fi
  # A root of one program: enough for --rootfs DIR.
  mkdir -p "$PLACE/root/bin"
  cp "$(command -v busybox)" "$PLACE/root/bin/busybox"
  for applet in sh cat echo ls true; do ln -s busybox "$PLACE/root/bin/$applet"; done
  # Only files of an owner who exists inside can be copied up.
  if [ "$(id -u)" -eq 0 ]; then chown -R "$TEST_USER:$TEST_USER" "$PLACE/root"; fi
  # The same with all mount points: needs no layer above it.
  cp -a "$PLACE/root" "$PLACE/whole"
  mkdir "$PLACE/whole/proc" "$PLACE/whole/dev" "$PLACE/whole/tmp" "$PLACE/whole/workspace"
}

teardown_file() {
  if getent passwd "$TEST_USER" >/dev/null; then userdel "$TEST_USER"; fi
  rm -rf "$PLACE"
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  chmod 755 "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" 2>/dev/null || true
}

# as root|user COMMAND…: the ordinary user is the one made for this run, or whoever runs the tests.
as() {
  local who=$1
  shift
  if [ "$who" = root ]; then
    [ "$(id -u)" -eq 0 ] || skip 'the tests are not run by root'
    "$@"
  elif [ "$(id -u)" -eq 0 ]; then
    setpriv --reuid="$TEST_USER" --regid="$TEST_USER" --init-groups --inh-caps=-all env -u XDG_RUNTIME_DIR -u XDG_DATA_HOME -u XDG_CONFIG_HOME HOME="$PLACE/home" "$@"
  else
    "$@"
  fi
}

exec_host() { "$BIN" exec --rootfs host "$@"; }

# gives EXPECTED OPTION… -- COMMAND…: this is its standard output, and nothing is on stderr.
gives() {
  local expected=$1
  shift
  run --separate-stderr exec_host "$@"
  printf 'status %s\nstdout: %s\nstderr: %s\n' "$status" "$output" "$stderr"
  [ "$status" -eq 0 ] && [ "$output" = "$expected" ] && [ -z "$stderr" ]
}

# refused PATTERN WORD…: `clawrun exec WORD…` ends with 125 and one line on stderr that matches; nothing has run.
refused() {
  local pattern=$1
  shift
  run --separate-stderr "$BIN" exec "$@"
  printf 'status %s\nstdout: %s\nstderr: %s\n' "$status" "$output" "$stderr"
  [ "$status" -eq 125 ] && [ -z "$output" ] && [ "${#stderr_lines[@]}" -eq 1 ] && [[ $stderr == clawrun:\ * ]] && [[ $stderr =~ $pattern ]]
}

# ends STATUS WORD…: of `clawrun exec --rootfs host WORD…`, which must say something on stderr where STATUS is its own.
ends() {
  local expected=$1
  shift
  run --separate-stderr "-$expected" exec_host "$@"
  printf 'status %s\nstdout: %s\nstderr: %s\n' "$status" "$output" "$stderr"
}

# until_true COMMAND…: within five seconds.
until_true() {
  local i
  for ((i = 0; i < 100; i++)); do
    "$@" && return
    sleep 0.05
  done
  return 1
}

# ---- root filesystem ----

@test "every option of --help is tried in this file, or in that of limits, networks or bundles" {
  for name in $("$BIN" exec --help | sed -n 's/^  --\([a-z-]*\).*/\1/p'); do
    grep -q -- "--$name" "$BATS_TEST_FILENAME" "$BATS_TEST_DIRNAME/limits.bats" "$BATS_TEST_DIRNAME/../network/run" \
      "$BATS_TEST_DIRNAME/../oci/emit-bundle.bats" || { echo "no test has --$name"; false; }
  done
}

@test "--rootfs host: programs without data" {
  gives '' -- sh -c 'for d in /home /root /var /run /srv /mnt /boot /etc/shadow /etc/ssh; do [ ! -e $d ] || echo $d; done'
  run exec_host -- sh -c 'echo x >/usr/x'
  [ "$status" -ne 0 ]
  [[ $output == *'Read-only'* ]]
}

@test "--rootfs DIR: as root and as a user; the directory is never written to" {
  for who in root user; do
    [ "$who" = user ] || [ "$(id -u)" -eq 0 ] || continue
    run as "$who" "$BIN" exec --rootfs "$PLACE/root" -- sh -c 'ls / | busybox tr "\n" " "; echo x >/bin/x'
    [[ ${lines[0]} == 'bin dev proc tmp workspace '* ]]
    [[ $output == *'Read-only'* ]]
  done
  [ "$(ls "$PLACE/root")" = bin ]
  cd "$PLACE"
  run "$BIN" exec --rootfs ./root -- echo relative
  [ "$output" = relative ]
}

@test "--rootfs NAME: from the caller's store, and default wins over host" {
  mkdir -p "$PLACE/store"
  cp -r "$PLACE/root" "$PLACE/store/tiny"
  run env CLAWRUN_ROOTFS_STORE="$PLACE/store" "$BIN" exec --rootfs tiny -- ls /bin
  [ "$status" -eq 0 ]
  [[ $output == *busybox* ]]
  ln -s tiny "$PLACE/store/default"
  run env CLAWRUN_ROOTFS_STORE="$PLACE/store" "$BIN" exec -- ls /usr
  [ "$status" -ne 0 ]
  rm -rf "$PLACE/store"
}

@test "--rootfs: what is wrong with it is said" {
  refused 'host itself' --rootfs / -- true
  refused 'not-there.*No such file' --rootfs /not-there -- true
  refused 'is not a directory' --rootfs /etc/passwd -- true
  refused 'no root filesystem "nonesuch"' --rootfs nonesuch -- true
  refused 'empty string' --rootfs '' -- true
}

@test "--writable: writes vanish, and are limited in size" {
  gives x --writable -- sh -c 'echo x >/usr/local/written && cat /usr/local/written'
  [ ! -e /usr/local/written ]
  run exec_host --writable --tmp-size 1m -- dd if=/dev/zero of=/usr/local/big bs=64k count=64
  [ "$status" -eq 1 ]
  [[ $output == *'No space left'* ]]
  run as user "$BIN" exec --rootfs "$PLACE/root" --writable -- sh -c 'echo y >/bin/y && cat /bin/y'
  printf '%s\n' "$output"
  [ "$output" = y ]
  [ ! -e "$PLACE/root/bin/y" ]
}

@test "nothing of the host lies above or under the root, however the root is made" {
  for who in root user; do
    [ "$who" = user ] || [ "$(id -u)" -eq 0 ] || continue
    for root in host "$PLACE/root" "$PLACE/whole"; do
      for more in --quiet --writable; do
        # Landlock off: this wall stands by itself.
        run as "$who" "$BIN" exec --rootfs "$root" "$more" --landlock off -- sh -c 'ls -a /..; cat /proc/self/mountinfo'
        printf '%s %s %s: %s\n' "$who" "$root" "$more" "$output"
        [ "$status" -eq 0 ]
        [[ $output == *'workspace'* && $output != *boot* && $output != *home* ]]
        # One mount at /, and nothing that the plan does not have.
        [ "$(awk '$5 == "/"' <<<"$output" | wc -l)" -eq 1 ]
        [ "$(awk '$5 ~ "^/(sys|run|var|root|mnt)"' <<<"$output" | wc -l)" -eq 0 ]
      done
    done
  done
}

@test "--workspace: the command starts there, files belong to its owner" {
  for who in root user; do
    [ "$who" = user ] || [ "$(id -u)" -eq 0 ] || continue
    mkdir -p "$PLACE/ws"
    if [ "$(id -u)" -eq 0 ]; then chown "$TEST_USER:$TEST_USER" "$PLACE/ws"; fi
    run as "$who" "$BIN" exec --rootfs host --workspace "$PLACE/ws" -- sh -c 'pwd; id -u; echo mine >file; stat -c %u .'
    printf '%s\n' "$output"
    [ "$output" = $'/workspace\n1000\n1000' ]
    [ "$(cat "$PLACE/ws/file")" = mine ]
    [ "$(stat -c %u:%g "$PLACE/ws/file")" = "$(stat -c %u:%g "$PLACE/ws")" ]
    run as "$who" "$BIN" exec --rootfs host --workspace "$PLACE/ws:ro" -- sh -c 'cat file; echo no >file'
    [ "$status" -ne 0 ]
    [ "${lines[0]}" = mine ]
    [[ $output == *'Read-only'* ]]
    rm -rf "$PLACE/ws"
  done
}

@test "--workspace: relative, with a colon in its name, and not there" {
  mkdir 'a:b' && echo in >'a:b/f'
  gives in --workspace 'a\:b' -- cat f
  gives in --workspace "$PWD/a\\:b:ro" -- cat f
  refused 'nope.*No such file' --workspace nope -- true
  echo >plain
  refused 'not a directory' --workspace plain -- true
  refused 'is not DIR\[:ro\]' --workspace /tmp:/x -- true
}

@test "--bind: a file, a directory, read-only, nested, refused" {
  mkdir d && echo one >d/f && echo two >g
  gives $'one\ntwo' --bind "$PWD/d:/mnt/d" --bind "g:/opt/g:ro" -- cat /mnt/d/f /opt/g
  run exec_host --bind "g:/opt/g:ro" -- sh -c 'echo no >/opt/g'
  [ "$status" -ne 0 ]
  [[ $output == *Read-only* ]]
  refused 'is not SRC:DST' --bind /etc -- true
  refused 'No such file' --bind /not-there:/x -- true
  refused 'absolute path' --bind /etc:x -- true
  refused 'absolute path' --bind /etc:/a/../b -- true
  refused 'below /proc' --bind /etc:/proc/x -- true
  refused 'root itself' --bind /etc:/ -- true
  refused 'two mounts' --bind /etc:/a --bind /usr:/a -- true
}

@test "--tmpfs and --tmp-size" {
  gives $'8192\n2048\n2048' --tmp-size 2m --tmpfs /opt/t:8m --tmpfs /opt/u -- \
    sh -c 'for d in /opt/t /opt/u /tmp; do df --output=size $d | tail -n 1 | tr -d " "; done'
  gives 1 --tmpfs /opt/t -- sh -c 'echo 1 >/opt/t/f; cat /opt/t/f'
  refused 'absolute path' --tmpfs x -- true
  refused 'is not a size' --tmpfs /x:1q -- true
  refused 'is not a size' --tmp-size big -- true
  refused 'holds nothing' --tmp-size 1k -- true
}

@test "options of --network allow say what they take, and that they go with it" {
  refused '--net-connections.*from 1 to 65536' --allow a.example --net-connections 0 -- true
  refused '--net-connect-timeout.*is not a time' --allow a.example --net-connect-timeout soon -- true
  refused '--net-connect-timeout: goes with --network allow only' --net-connect-timeout 5s -- true
}

@test "--workdir" {
  gives /tmp --workdir /tmp -- pwd
  gives /workspace -- pwd
  refused 'absolute path' --workdir relative -- true
  refused 'does not exist in the sandbox' --rootfs host --workdir /not/there -- true
}

# ---- environment and identity ----

@test "the environment is minimal and the caller's is not passed" {
  export SECRET=leaked
  gives $'HOME=/tmp\nLANG=C.UTF-8\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' -- sh -c 'env | grep -v ^_= | grep -v ^PWD= | sort'
}

@test "--env sets, passes on and overrides; the last one wins" {
  export PASSED='a value' GONE=1
  unset GONE
  gives 'a value|x=y||z|/bin' --env PASSED --env A=x=y --env E= --env GONE --env B=1 --env B=z --env PATH=/bin -- \
    sh -c 'echo "$PASSED|$A|$E|$B|$PATH"; [ "${GONE+set}" != set ]'
  refused 'no variable name' --env =3 -- true
  refused 'no variable name' --env '' -- true
}

@test "--env-file: lines, comments, passing on; --env wins over it" {
  export FROM_CALLER=caller
  printf '# comment\nA=1\n\nB=two words\r\nFROM_CALLER\nC=#no comment\n' >vars
  gives '1|two words|caller|#no comment|flag' --env-file vars --env D=flag -- sh -c 'echo "$A|$B|$FROM_CALLER|$C|$D"'
  gives flag --env A=flag --env-file vars -- sh -c 'echo $A'
  printf 'GOOD=1\n=bad\n' >broken
  refused 'broken:2' --env-file broken -- true
  refused 'No such file' --env-file not-there -- true
}

@test "--user" {
  for who in root user; do
    [ "$who" = user ] || [ "$(id -u)" -eq 0 ] || continue
    run as "$who" "$BIN" exec --rootfs host -- sh -c 'id -u; id -g; id -un; grep CapEff /proc/self/status'
    [ "$output" = $'1000\n1000\nsandbox\nCapEff:\t0000000000000000' ]
    run as "$who" "$BIN" exec --rootfs host --user root -- sh -c 'id -u; grep -E "Cap(Prm|Eff|Bnd|Amb|Inh)" /proc/self/status | grep -c 0000000000000000'
    [ "$output" = $'0\n5' ]
    run as "$who" "$BIN" exec --rootfs host --user 7:8 -- sh -c 'id -u; id -g'
    [ "$output" = $'7\n8' ]
  done
  for bad in 0x0 +0 1000: :1 root:root nobody -1 4294967295 ''; do refused '--user' --user "$bad" -- true; done
}

@test "--cap-add: over the sandbox's own namespaces only" {
  gives $'CapEff:\t0000000000001000' --cap-add NET_ADMIN -- grep CapEff /proc/self/status
  gives $'CapEff:\t0000000000001000' --cap-add cap_net_admin -- grep CapEff /proc/self/status
  refused 'did you mean "NET_ADMIN"' --cap-add NET_ADMN -- true
}

@test "--id-mapping and --uid-range" {
  gives 1 --id-mapping single -- sh -c 'awk "{print \$3}" /proc/self/uid_map'
  if [ "$(id -u)" -eq 0 ]; then
    run exec_host --id-mapping range --user 5 -- sh -c 'awk "{print \$1, \$3}" /proc/self/uid_map; id -u'
    [ "$output" = $'0 65536\n5' ]
    run exec_host --uid-range 3000000:5000000 -- sh -c 'awk "{print \$2}" /proc/self/uid_map'
    [ "$output" -ge 3000000 ] && [ "$output" -lt 8000000 ]
  fi
  refused 'not one of auto, single, range' --id-mapping many -- true
  refused 'START:COUNT' --uid-range 3 -- true
  refused 'uid 0' --uid-range 0:100000000 -- true
}

@test "an ordinary user's ids: mapped to that user, and 65536 of them through newuidmap" {
  [ "$(id -u)" -eq 0 ] || skip 'needs root to make a user'
  run as user "$BIN" exec --rootfs host -- sh -c 'awk "{print \$1, \$2, \$3}" /proc/self/uid_map'
  [ "$output" = "1000 $(id -u "$TEST_USER") 1" ]
  grep -q "^$TEST_USER:" /etc/subuid || skip 'useradd gave this user no subordinate ids'
  run as user "$BIN" exec --rootfs host --id-mapping range -- sh -c 'awk "{n += \$3} END {print n}" /proc/self/uid_map; id -u'
  printf '%s\n' "$output"
  [ "$output" = $'65537\n1000' ] || [ "$output" = $'65536\n1000' ]
}

@test "--hostname" {
  gives sandbox -- uname -n
  gives quiet.example --hostname quiet.example -- uname -n
  refused 'is not a hostname' --hostname a/b -- true
  refused 'is not a hostname' --hostname "$(printf '%065d' 0)" -- true
}

# ---- isolation ----

@test "--network none has a loopback that works, host has the host's" {
  run exec_host -- python3 -c '
import socket, threading
s = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(s.getsockname()); s.accept()[0].send(b"over lo")
print(c.recv(99).decode(), [n for _, n in socket.if_nameindex()])'
  [ "$output" = "over lo ['lo']" ]
  run exec_host --network host -- readlink /proc/self/ns/net
  [ "$output" = "$(readlink /proc/self/ns/net)" ]
  run exec_host -- readlink /proc/self/ns/net
  [ "$output" != "$(readlink /proc/self/ns/net)" ]
  refused 'did you mean "none"' --network nonee -- true
}

@test "--seccomp" {
  gives $'Seccomp:\t0' --seccomp unconfined -- grep Seccomp: /proc/self/status
  gives $'Seccomp:\t2' -- grep Seccomp: /proc/self/status
  for profile in default network docker-compatible strict; do gives ok --seccomp "$profile" -- echo ok; done
  printf '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["getcwd"],"action":"SCMP_ACT_ERRNO","errnoRet":95}]}' >own.json
  run exec_host --seccomp ./own.json -- python3 -c 'import os; os.getcwd()'
  [ "$status" -eq 1 ]
  [[ $output == *'not supported'* ]]
  refused 'did you mean "default"' --seccomp defualt -- true
  refused 'own2.json' --seccomp ./own2.json -- true
}

@test "--allow-exec: with strict, and nothing else" {
  ends 0 --seccomp strict -- true
  ends 126 --seccomp strict -- sh -c 'exec true'
  loader=$(readlink -f /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1 | head -n 1)
  ends 0 --seccomp strict --allow-exec "$(readlink -f /bin/sh)" --allow-exec /usr/bin/true --allow-exec "$loader" -- sh -c 'exec true'
  refused 'absolute path' --seccomp strict --allow-exec true -- true
  refused 'only --seccomp strict' --allow-exec /bin/true -- true
  refused 'cannot go with --landlock off' --seccomp strict --landlock off --allow-exec /bin/true -- true
}

@test "--landlock on, off and auto" {
  for how in on auto off; do gives ok --landlock "$how" -- echo ok; done
  [ "$(exec_host --landlock off --dry-run -- true | jq .confinement.landlock)" = null ]
  [ "$(exec_host --landlock on --dry-run -- true | jq '.confinement.landlock.rules | length > 3')" = true ]
  refused 'did you mean "off"' --landlock offf -- true
}

@test "--allow-degraded: what is missing is an error, or said and recorded" {
  run --separate-stderr "$PLACE/deny" landlock_create_ruleset -- "$BIN" exec --rootfs host --landlock on -- echo ran
  [ "$status" -eq 125 ]
  [ -z "$output" ]
  [[ $stderr == *'--landlock on'*'--allow-degraded'* ]]
  run --separate-stderr "$PLACE/deny" landlock_create_ruleset -- "$BIN" exec --rootfs host --landlock on --allow-degraded --report report -- echo ran
  [ "$status" -eq 0 ]
  [ "$output" = ran ]
  [[ $stderr == *'degraded:'*'--landlock on'* ]]
  jq -e '.degradations | length == 1' report
  run --separate-stderr "$PLACE/deny" landlock_create_ruleset -- "$BIN" exec --rootfs host --landlock on --allow-degraded --quiet -- echo ran
  [ "$status" -eq 0 ]
  [ -z "$stderr" ]
}

@test "--no-init: the command is pid 1" {
  gives 2 -- sh -c 'echo $$'
  gives 1 --no-init -- sh -c 'echo $$'
  refused 'needs init' --no-init --tty -- true
}

@test "--time-ns: clocks that begin now" {
  for who in root user; do
    [ "$who" = user ] || [ "$(id -u)" -eq 0 ] || continue
    run as "$who" "$BIN" exec --rootfs host --time-ns -- sh -c 'cut -d. -f1 /proc/uptime; readlink /proc/self/ns/time'
    printf '%s\n' "$output"
    [ "${lines[0]}" -lt 10 ]
    [ "${lines[1]}" != "$(readlink /proc/self/ns/time)" ]
  done
}

# ---- limits ----

@test "--nofile --nproc --fsize --stack --cpu-time --address-space set both limits" {
  gives $'100 100\n50 50\n8192 8192\n1048576 1048576\n3 4\n268435456 268435456\n0 0' --nofile 100 --nproc 50 --fsize 8k --stack 1m --cpu-time 3s --address-space 256m -- \
    prlimit --noheadings --raw --output SOFT,HARD --nofile --nproc --fsize --stack --cpu --as --core
  gives $'1024 1024\n512 512\n0 0' -- prlimit --noheadings --raw --output SOFT,HARD --nofile --nproc --core
}

@test "limits bite" {
  run exec_host --nofile 16 -- sh -c 'for i in 3 4 5 6 7 8 9; do eval "exec $i</dev/null"; done; exec cat /dev/null /dev/null $(for i in 1 2 3 4 5 6 7 8 9; do echo /dev/null; done)'
  [ "$status" -eq 0 ]
  ends 1 --nofile 8 -- python3 -c '[open("/dev/null") for _ in range(9)]'
  ends 1 --nproc 3 -- python3 -c '
import os, time
for _ in range(9):
    if os.fork() == 0: time.sleep(60)'
  ends 153 --fsize 4k -- sh -c 'exec head -c 8192 /dev/zero >/tmp/f'
  [[ $stderr == *--fsize* ]]
  ends 152 --cpu-time 1s -- sh -c 'while :; do :; done'
  [[ $stderr == *--cpu-time* ]]
  ends 1 --address-space 64m -- python3 -c 'bytearray(1 << 30)'
}

@test "limits: wrong values, and above the caller's own" {
  for name in nofile nproc; do refused "--$name" "--$name" many -- true; done
  for name in fsize stack address-space; do refused "--$name.*size" "--$name" 1x -- true; done
  refused 'at least 3' --nofile 2 -- true
  refused 'whole number of seconds' --cpu-time 1500ms -- true
  refused 'is not a time' --cpu-time 3q -- true
  run sh -c 'ulimit -n 64; exec "$0" exec --rootfs host --nofile 65 -- true' "$BIN"
  [ "$status" -eq 125 ]
  [[ $output == *'hard limit of 64'* ]]
}

@test "limits by cgroup: bad values are errors that say what is allowed" {
  refused '--memory.*too little' --memory 1 -- true
  refused '--memory.*size' --memory 1x -- true
  refused '--memory-high.*more than --memory' --memory 1m --memory-high 2m -- true
  refused '--cpus.*0.01 to 8192' --cpus 0 -- true
  refused '--cpu-weight.*1 to 10000' --cpu-weight 0 -- true
  refused '--cpu-shares.*2 to 262144' --cpu-shares 1 -- true
  refused '--cpuset.*0-3,6' --cpuset 3-1 -- true
  refused '--pids.*from 2' --pids 1 -- true
  refused '--io-max.*rbps' --io-max 8:0 -- true
  refused '--io-max.*not a block device' --io-max /dev/null:rbps=1m -- true
  refused '--io-weight.*1 to 10000' --io-weight x -- true
  refused '--device.*below /dev' --device /etc/passwd -- true
  refused '--device.*not a device node' --device /dev/stdin -- true
  refused '--cgroup-driver.*auto, cgroupfs, systemd' --cgroup-driver systmed -- true
  refused '--cgroup-path.*no . and ..' --cgroup-path ../x --cgroup-driver cgroupfs -- true
  refused '--name.*letters' --name a/b -- true
}

# ---- time ----

@test "--timeout: TERM first, 124, all of it within the grace time" {
  ends 124 --timeout 300ms -- sleep 60
  [[ $stderr == *--timeout* ]]
  run --separate-stderr exec_host --timeout 300ms --grace 10s -- sh -c 'trap "echo saw TERM; exit 3" TERM; while :; do sleep 0.05; done'
  [ "$status" -eq 124 ]
  [ "$output" = 'saw TERM' ]
  ends 0 --timeout 30s -- true
}

@test "--grace: KILL of everything for who ignores TERM" {
  started=$(date +%s%N)
  ends 124 --timeout 200ms --grace 300ms -- sh -c 'trap "" TERM; setsid sh -c "trap \"\" TERM; while :; do sleep 1; done" & while :; do sleep 1; done'
  [ $(($(date +%s%N) - started)) -lt 3000000000 ]
  started=$(date +%s%N)
  ends 124 --timeout 200ms --grace 0s -- sh -c 'trap "" TERM; while :; do sleep 1; done'
  [ $(($(date +%s%N) - started)) -lt 2000000000 ]
  for bad in 3q -1s '' 1.s 1s2 10000000000h; do refused '--timeout' --timeout "$bad" -- true; done
  refused 'is not a time' --grace soon -- true
}

@test "--timeout: a stopped command does not outlive it" {
  ends 124 --timeout 300ms --grace 200ms -- sh -c 'kill -STOP $$'
}

# ---- stdio ----

@test "--preserve-fd: those named and no others" {
  exec 7<<<'from seven' 8<<<'from eight'
  run --separate-stderr exec_host --preserve-fd 7 -- sh -c 'cat <&7; [ ! -e /proc/self/fd/8 ] && echo closed'
  [ "$output" = $'from seven\nclosed' ]
  exec 7<&- 8<&-
  refused 'stdio' --preserve-fd 1 -- true
  refused '--preserve-fd 77' --preserve-fd 77 -- true
  exec 7<"$BATS_TEST_TMPDIR"
  refused 'directory of the host' --preserve-fd 7 -- true
  exec 7<&-
}

@test "no descriptor of the caller is inherited but stdio" {
  exec 7</dev/null 9</dev/null
  gives 0,1,2,3 -- python3 -c 'import os; print(",".join(sorted(os.listdir("/proc/self/fd"))))'
  exec 7<&- 9<&-
}

@test "stdin, stdout and stderr are the caller's; closed ones stay harmless" {
  run --separate-stderr bash -c 'printf "a\0b" | "$0" exec --rootfs host -- sh -c "cat | od -An -tx1; echo err >&2; exit 4"' "$BIN"
  [ "$status" -eq 4 ]
  [ "$output" = ' 61 00 62' ]
  [ "$stderr" = err ]
  run bash -c '"$0" exec --rootfs host -- true <&- >&- 2>&-' "$BIN"
  [ "$status" -eq 0 ]
  run bash -c '"$0" exec --rootfs host -- cat <&-' "$BIN"
  [ "$status" -eq 0 ]
  [ -z "$output" ]
}

@test "--tty: a terminal of the sandbox's own" {
  # No terminal on our side: the command still gets one.
  run bash -c '"$0" exec --rootfs host --tty -- sh -c "tty; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all" </dev/null' "$BIN"
  [ "$status" -eq 0 ]
  [[ $output == /dev/pts/0*all* ]]
  refused 'takes no value' --tty=1 -- true
}

# ---- exit statuses ----

@test "the command's exit status is ours" {
  for code in 0 1 2 42 124 125 126 127 128 200 255; do ends "$code" -- sh -c "exit $code"; done
}

@test "128+N for a signal" {
  for signal in HUP INT QUIT ILL ABRT KILL USR1 SEGV PIPE ALRM TERM SYS; do
    ends $((128 + $(kill -l "$signal"))) -- sh -c "kill -$signal \$\$"
  done
}

@test "125: clawrun failed before the command could run" {
  refused 'no command' --
  refused 'no command'
  refused '--workdir|working directory' --rootfs host --workdir /nowhere -- true
  run --separate-stderr "$PLACE/deny" fsopen -- "$BIN" exec --rootfs host -- true
  [ "$status" -eq 125 ]
}

@test "126: found but not executable" {
  printf 'no shebang\n' >plain
  chmod 755 plain
  printf '#!/no/such/interpreter\n' >orphan
  chmod 755 orphan
  printf 'echo\n' >plainer
  chmod 644 plainer
  for name in plain orphan plainer; do
    ends 126 --workspace "$PWD" -- "./$name"
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == *"$name"* ]]
  done
  ends 126 --workspace "$PWD" -- ./orphan
  [[ $stderr == *interpreter* ]]
  ends 126 -- /usr/bin
  ends 126 -- /tmp
}

@test "127: not found, and a PATH is searched like execvp does" {
  ends 127 -- no-such-command-here
  [[ $stderr == *'not found in the sandbox'* ]]
  ends 127 -- /usr/bin/no-such-command-here
  ends 127 --env PATH=/nowhere -- true
  mkdir bin1 bin2 && printf '#!/bin/sh\necho one' >bin1/which-one && printf '#!/bin/sh\necho two' >bin2/which-one
  chmod 755 bin2/which-one && chmod 644 bin1/which-one
  gives two --workspace "$PWD" --env PATH=/workspace/bin1:/workspace/bin2:/bin:/usr/bin -- which-one
}

# ---- words ----

@test "unknown options, keys and values name the nearest" {
  refused 'unknown option "--timout"; did you mean --timeout' --timout 3s -- true
  refused 'did you mean --workspace' --work-space . -- true
  refused 'did you mean --rootfs' -rootf host -- true
  refused 'unknown option "--zzzzzz"' --zzzzzz -- true
  # An abbreviation could come to mean something else.
  refused 'unknown option "--time"' --time 3s -- true
  refused 'wants a value' --timeout
  printf '{"tmeout": "3s"}' >p.json
  refused 'tmeout.*did you mean "timeout"' --profile ./p.json -- true
  run --separate-stderr "$BIN" exce
  [ "$status" -eq 2 ]
  [[ $stderr == *'did you mean "exec"'* ]]
}

@test "getopt forms: --name value, --name=value, -name value, repeats" {
  gives h1 --hostname h1 -- uname -n
  gives h2 --hostname=h2 -- uname -n
  gives h3 -hostname h3 -- uname -n
  gives h4 -hostname=h4 -- uname -n
  gives h6 --hostname h5 --hostname h6 -- uname -n
  gives '--hostname x --' -- echo --hostname x --
}

@test "exec ID CMD answers with the corrected command line" {
  refused 'there is no container "echo"; a fresh sandbox wants -- before its command: clawrun exec -- echo hi$' echo hi
  refused 'clawrun exec --quiet -- echo hi$' --quiet echo hi
}

@test "all problems at once, by option" {
  run --separate-stderr "$BIN" exec --hostname a/b --workdir x --memory 1m --memory-high 2m -- true
  [ "$status" -eq 125 ]
  [ "${#stderr_lines[@]}" -eq 3 ]
  for name in hostname workdir memory-high; do [[ $stderr == *"--$name:"* ]]; done
}

@test "--profile: NAME, FILE, in order, under the flags" {
  printf '{"hostname": "first", "nofile": 99, "env": {"A": "1", "B": "1"}}' >one.json
  printf '{"$schema": "x", "description": "y", "hostname": "second", "env": ["A=2"]}' >two.json
  gives first --profile ./one.json -- uname -n
  gives second --profile ./one.json --profile ./two.json -- uname -n
  gives first --profile ./two.json --profile ./one.json -- uname -n
  gives flag --hostname flag --profile ./one.json --profile ./two.json -- uname -n
  gives '2 1 99' --profile ./one.json --profile ./two.json -- sh -c 'echo $A $B $(ulimit -n)'
  gives sandbox -- uname -n
  mkdir -p config/clawrun/profiles && cp one.json config/clawrun/profiles/mine.json
  export XDG_CONFIG_HOME=$PWD/config
  gives first --profile mine -- uname -n
  refused 'did you mean "mine"' --profile mien -- true
  refused 'No such file' --profile ./none.json -- true
  printf '{"nofile": -1}' >bad1.json
  printf '{"nofile": 1' >bad2.json
  printf '{"nofile": 9, "nofile": 10}' >bad3.json
  printf '["nofile"]' >bad4.json
  printf '{"tty": "yes"}' >bad5.json
  for i in 1 2 3 4 5; do refused "bad$i.json" --profile "./bad$i.json" -- true; done
}

@test "the shipped profiles load and run" {
  for profile in "$CLAWRUN_SOURCE"/profiles/*.json; do
    run exec_host --profile "$profile" -- true
    printf '%s: %s %s\n' "$profile" "$status" "$output"
    [ "$status" -eq 0 ]
  done
}

@test "--quiet and --verbose" {
  run --separate-stderr exec_host --verbose -- true
  [[ $stderr == *'stages (us'*exec=*end=* ]]
  run --separate-stderr exec_host --quiet --timeout 100ms -- sleep 9
  [ "$status" -eq 124 ]
  [ -z "$stderr" ]
}

# ---- report ----

keys='["id","status","exit_code","signal","reason","started_at","wall_us","cpu_user_us","cpu_system_us","memory_peak_bytes","oom_killed","timed_out","stdout_lost_bytes","stderr_lost_bytes","pids_peak","pids_limit_hits","oom_kills","cpu_throttling","io","psi","network","rootfs","profile","limits","degradations","notes","stages_us"]'

@test "--report FILE: one object with every field" {
  printf '{"hostname": "x"}' >p.json
  ends 5 --report out.json --profile ./p.json --timeout 20s --nofile 77 -- sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exit 5'
  cat out.json
  [ "$(jq -s length out.json)" -eq 1 ]
  jq -e --argjson keys "$keys" 'keys_unsorted == $keys' out.json
  jq -e '.status == "exited" and .exit_code == 5 and .signal == null and .reason == null and .oom_killed == false and .timed_out == false
    and .rootfs == "host" and .profile == ["./p.json"] and .limits.nofile == 77 and .limits.nproc == 512 and .limits.core_bytes == 0 and .limits.timeout_ms == 20000
    and .degradations == [] and .wall_us > 1000 and .memory_peak_bytes > 100000 and (.cpu_user_us + .cpu_system_us) > 20000' out.json
  jq -e '.started_at | test("^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{6}Z$")' out.json
  jq -e '[.stages_us[]] as $s | ($s | length) >= 5 and ($s == ($s | sort)) and all($s[]; . > 0)' out.json
  [ "$(exec_host --report /dev/stdout -- true | jq -r .id)" != "$(jq -r .id out.json)" ]
}

@test "--report fd:N, signaled, timeout, setup_failed" {
  ends 143 --report fd:9 -- sh -c 'kill -TERM $$' 9>out.json
  jq -e '.status == "signaled" and .exit_code == 143 and .signal == "SIGTERM"' out.json
  ends 124 --report fd:9 --timeout 200ms --grace 100ms -- sh -c 'trap "" TERM; while :; do sleep 1; done' 9>out.json
  jq -e '.status == "timeout" and .exit_code == 124 and .timed_out and .reason != null' out.json
  ends 127 --report out.json -- no-such-command
  jq -e --argjson keys "$keys" '.status == "setup_failed" and .exit_code == 127 and (.reason | test("not found")) and keys_unsorted == $keys' out.json
  run "$BIN" exec --report out.json --rootfs nonesuch -- true
  [ "$status" -eq 125 ]
  jq -e '.status == "setup_failed" and .exit_code == 125' out.json
  refused '--report' --report fd:99 -- true
  refused '--report' --report /nonesuch/x -- true
}

@test "the descriptor of the report is not the sandbox's" {
  run exec_host --report fd:9 -- sh -c 'ls /proc/self/fd | wc -l' 9>out.json
  [ "$output" -eq 4 ]
}

# ---- plan ----

@test "--dry-run prints JSON and starts nothing" {
  run --separate-stderr exec_host --dry-run --workspace . --report fd:9 -- touch /workspace/started 9>/dev/null
  [ "$status" -eq 0 ]
  jq -e '.argv == ["touch", "/workspace/started"]' <<<"$output"
  [ ! -e started ]
  refused 'too little' --dry-run --memory 1 -- true
}

@test "--dry-run is what runs, as root" {
  [ "$(id -u)" -eq 0 ] || skip 'the tests are not run by root'
  mkdir ws d
  python3 "$PLACE/plan_matches.py" "$BIN"
  python3 "$PLACE/plan_matches.py" "$BIN" --workspace ws --bind d:/opt/d:ro --tmpfs /opt/t:1m --nofile 200 --user 3:4 --env A=b --hostname other --network host --seccomp unconfined --no-init
  python3 "$PLACE/plan_matches.py" "$BIN" --writable --workspace ws:ro --cap-add NET_ADMIN --seccomp strict --landlock off
}

@test "--dry-run is what runs, as a user" {
  as user python3 "$PLACE/plan_matches.py" "$BIN"
  as user python3 "$PLACE/plan_matches.py" "$BIN" --writable --workspace /usr/share:ro --bind /etc/services:/opt/s:ro --stack 4m --workdir /tmp
}

# ---- signals ----

# signals NAME…: sends each, one after the other, to a running clawrun; $log has what the command saw.
send_signals() {
  log=$BATS_TEST_TMPDIR/log
  : >"$log"
  "$BIN" exec --rootfs host "${options[@]}" -- python3 -c '
import signal, time
for s in "TERM INT HUP QUIT USR1 USR2 WINCH".split():
    signal.signal(getattr(signal, "SIG" + s), lambda n, _: print(signal.Signals(n).name, flush=True))
print("ready", flush=True)
while True: time.sleep(0.02)' >"$log" 2>"$log.err" 3>&- &
  pid=$!
  until_true grep -q ready "$log"
  for name; do
    kill "-$name" "$pid"
    until_true grep -q "SIG$name" "$log" || break
  done
}

@test "TERM INT HUP QUIT USR1 USR2 WINCH are forwarded; a second INT kills" {
  options=()
  send_signals TERM HUP QUIT USR1 USR2 WINCH INT
  kill -INT "$pid"
  status=0
  wait "$pid" || status=$?
  cat "$log"
  [ "$(tr '\n' ' ' <"$log")" = 'ready SIGTERM SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGWINCH SIGINT ' ]
  [ "$status" -eq 137 ]
  [ "$(cat "$log.err")" = 'clawrun: killed by a second interrupt' ]
}

@test "the default action of a forwarded signal ends the command: 128+N" {
  for name in TERM INT HUP QUIT USR1 USR2; do
    # A background process of a shell that is not interactive ignores INT and QUIT; the command must not have inherited that.
    "$BIN" exec --rootfs host -- sh -c 'echo ready; exec sleep 60' >log 3>&- &
    pid=$!
    until_true grep -q ready log
    sleep 0.1
    kill "-$name" "$pid"
    status=0
    wait "$pid" || status=$?
    echo "$name: $status"
    [ "$status" -eq $((128 + $(kill -l "$name"))) ]
  done
}

@test "the sandbox dies with its supervisor, also of KILL" {
  marker=7${BATS_SUITE_TEST_NUMBER}$$
  for who in root user; do
    [ "$who" = user ] || [ "$(id -u)" -eq 0 ] || continue
    for extra in --quiet --no-init; do
      as "$who" "$BIN" exec --rootfs host "$extra" -- sh -c "(sleep $marker &) ; setsid sleep $marker & sleep $marker" 3>&- >/dev/null 2>&1 &
      until_true pgrep -f "^sleep $marker"
      pkill -KILL -f "^$BIN exec.* sleep $marker" || true
      wait || true
      until_true sh -c "! pgrep -f '^sleep $marker'"
    done
  done
}

@test "when the command ends, everything else is dead before clawrun returns" {
  marker=8${BATS_SUITE_TEST_NUMBER}$$
  for who in root user; do
    [ "$who" = user ] || [ "$(id -u)" -eq 0 ] || continue
    for extra in --quiet --no-init; do
      # They hold stdout: a caller that reads to its end must not wait for them.
      out=$(as "$who" timeout 20 "$BIN" exec --rootfs host "$extra" -- sh -c "(sleep $marker &) ; setsid sleep $marker & nohup sleep $marker >/dev/null 2>&1 & echo out; exit 6") || code=$?
      [ "$code" -eq 6 ]
      [ "$out" = out ]
      run pgrep -f "^sleep $marker"
      [ "$status" -eq 1 ]
    done
  done
}

# ---- the rest of the face ----

@test "help, version, completions" {
  run --separate-stderr "$BIN" --version
  [[ ${lines[0]} =~ ^clawrun\ version\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
  [[ ${lines[1]} == 'spec: 1.3.0' ]]
  [[ ${lines[2]} =~ ^libseccomp\ [0-9] ]]
  [[ ${lines[3]} == "kernel $(uname -r) $(uname -m)" ]]
  run "$BIN" help exec
  [ "$output" = "$("$BIN" exec --help)" ]
  for verb in doctor rootfs seccomp help completion; do
    run --separate-stderr "$BIN" help "$verb"
    [ "$status" -eq 0 ]
    [ -n "$output" ] && [ -z "$stderr" ]
  done
  "$BIN" completion bash >bash.comp
  bash -n bash.comp
  for name in $("$BIN" exec --help | sed -n 's/^  --\([a-z-]*\).*/\1/p'); do grep -q -- "--$name" bash.comp; done
  for shell in zsh fish; do
    "$BIN" completion "$shell" >"$shell.comp"
    [ -s "$shell.comp" ]
    if command -v "$shell" >/dev/null; then "$shell" -n "$shell.comp"; fi
  done
  run --separate-stderr "$BIN" completion tcsh
  [ "$status" -ne 0 ]
}

@test "the bash completion completes" {
  "$BIN" completion bash >comp
  run bash -c 'source ./comp; COMP_WORDS=(clawrun exec --works); COMP_CWORD=2; _clawrun; echo "${COMPREPLY[*]}"'
  [ "$output" = --workspace ]
  run bash -c 'source ./comp; COMP_WORDS=(clawrun ex); COMP_CWORD=1; _clawrun; echo "${COMPREPLY[*]}"'
  [ "$output" = exec ]
}

@test "stdout that cannot be written is an error of --help and --dry-run" {
  run --separate-stderr bash -c '"$0" exec --help >/dev/full' "$BIN"
  [ "$status" -eq 125 ]
  run --separate-stderr bash -c '"$0" exec --rootfs host --dry-run -- true >/dev/full' "$BIN"
  [ "$status" -eq 125 ]
}

@test "--max-output cuts off each output, whatever it is, and says so" {
  run --separate-stderr "$BIN" exec --rootfs host --max-output 5 --report "$BATS_TEST_TMPDIR/report" -- sh -c 'echo 123456789; echo abcdefghi >&2'
  [ "$status" = 0 ]
  [ "$output" = 12345 ]
  [[ "$stderr" == abcde* && "$stderr" == *"5 of standard output"* ]]
  grep --quiet '"stdout_lost_bytes":5,"stderr_lost_bytes":5' "$BATS_TEST_TMPDIR/report"
  "$BIN" exec --rootfs host --quiet --max-output 1k -- head -c 5000 /dev/zero >"$BATS_TEST_TMPDIR/file"
  [ "$(stat -c %s "$BATS_TEST_TMPDIR/file")" = 1024 ]
  "$BIN" exec --rootfs host --quiet --max-output 1k -- head -c 5000 /dev/zero >/dev/null
  [ "$("$BIN" exec --rootfs host --quiet --max-output 1k -- sh -c 'sleep 0.2; echo whole' | cat)" = whole ]
}

@test "a timeout holds while clawrun itself is stopped" {
  "$BIN" exec --rootfs host --timeout 300ms --grace 100ms --report "$BATS_TEST_TMPDIR/report" -- sh -c 'trap "" TERM; while :; do sleep 1; done' 3>&- &
  local pid=$!
  sleep 0.15
  local first
  first=$(pgrep -P "$pid" | head -n 1)
  [ -n "$first" ]
  kill -STOP "$pid"
  local gone=0
  for _ in $(seq 100); do
    case $(cut -d' ' -f3 "/proc/$first/stat" 2>/dev/null) in Z | X | "") gone=1 && break ;; esac
    sleep 0.05
  done
  kill -CONT "$pid"
  local ended=0
  wait "$pid" || ended=$?
  [ "$gone" = 1 ]
  [ "$ended" = 124 ]
  grep -q '"status":"timeout"' "$BATS_TEST_TMPDIR/report"
}
