#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2153,SC2154,SC2016 # bats runs each test in a subshell; the suite sets $PLACE; jq programs are no shell
# The known failures of container runtimes again, for containers of a config.json: each test is named by its rule's id. Another
# runtime, to see that a test asks for what it should, is named by OCI_RUNTIME.
load helper

setup() {
  need_root
  command -v jq >/dev/null || skip 'needs jq'
  W=$PLACE/oci-$BATS_TEST_NUMBER
  mkdir -p "$W"/{state,bundle,canary/dir}
  RUNTIME=${OCI_RUNTIME:-$W/clawrun}
  cp "$PLACE/bin/clawrun" "$W/clawrun" # one that may be overwritten
  echo host >"$W/canary/file"
  BEFORE=$(listing "$W/canary")
  ROOT=$W/bundle/rootfs
  make_rootfs "$ROOT"
  mkdir -p "$ROOT"/{sys,mnt,data}
  local applet
  for applet in cat id sleep grep echo touch mkdir env pwd true yes mount ln rm stat head dd; do ln -sf busybox "$ROOT/bin/$applet"; done
  cp "$PLACE/bin/hostile" "$ROOT/hostile"
  ID=sec$BATS_TEST_NUMBER-$$
  bundle
}

teardown() {
  local state
  end_background
  for state in "${W:-/nowhere}"/state/*/; do
    [ -d "$state" ] || continue
    state=${state%/}
    timeout -k 5 20 "$RUNTIME" --root "$W/state" delete --force "${state##*/}" >/dev/null 2>&1 || true
  done
  rm -rf --one-file-system "${W:?}"
}

cr() { timeout -k 5 30 "$RUNTIME" --root "$W/state" "$@" </dev/null; }

# bundle [FILTER]: the starter configuration, without a terminal, changed by a jq program.
bundle() {
  rm -f "$W/bundle/config.json"
  (cd "$W/bundle" && "$PLACE/bin/clawrun" spec)
  jq ".process.terminal = false | .root.readonly = false | .process.rlimits = [] | ${1:-.}" "$W/bundle/config.json" >"$W/new"
  mv "$W/new" "$W/bundle/config.json"
}

# args WORD…: as a part of a filter.
args() { printf '.process.args = %s' "$(jq -cn '$ARGS.positional' --args -- "$@")"; }

# in_container: runs it; sets $text and $got. Nothing of it may touch the host.
in_container() {
  local begin=$SECONDS
  got=0
  text=$(cr run --bundle "$W/bundle" "$ID" 2>&1) || got=$?
  # By the clock: 137 is how a container may end, too.
  [ $((SECONDS - begin)) -lt 30 ] || fail "it hangs: $text"
  host_is_untouched
}

host_is_untouched() { same "$(listing "$W/canary")" "$BEFORE"; }

# refuses [PART]: the container of this bundle is not made.
refuses() {
  in_container
  [ "$got" -ne 0 ] || fail "it was run: $text"
  has "$text" "${1:-}"
  lacks "$text" 'it runs'
}

# started: a container that sleeps, in the background.
started() {
  cr create --bundle "$W/bundle" "$ID" >"$W/out" 2>&1 || fail "$(cat "$W/out")"
  cr start "$ID"
}

# --- identity -----------------------------------------------------------------------------------------------------------

@test "oci CVE-2016-3697 CVE-2026-30892: exec --user takes whole decimal numbers, and a process file numbers only" {
  bundle "$(args sleep 100)"
  started
  local word
  for word in 1000: :0 '' +0 -0 -1 0x0 0: root ' 0' '0 ' 1e3 1,0 4294967295 4294967296 1000:root; do
    # An empty one is none given.
    [ -n "$word" ] || continue
    if text=$(cr exec --user "$word" "$ID" id -u 2>&1); then fail "--user '$word' gave $text"; fi
  done
  same "$(cr exec --user 7 "$ID" id -u)" 7
  same "$(cr exec --user 7:8 "$ID" id -g)" 8
  for word in '"0"' '"zz"' -1 1.5 4294967296 null '[0]'; do
    [ "$word" != null ] || continue
    jq "$(args id -u) | .process.user.uid = $word | .process" "$W/bundle/config.json" >"$W/process.json"
    if text=$(cr exec --process "$W/process.json" "$ID" 2>&1); then fail "uid $word gave $text"; fi
  done
}

@test "oci CVE-2022-2989: the caller's supplementary groups are gone, in run and in exec" {
  bundle "$(args sleep 100)"
  setpriv --groups 0,4,27 "$RUNTIME" --root "$W/state" create --bundle "$W/bundle" "$ID" </dev/null >"$W/out" 2>&1
  cr start "$ID"
  same "$(cr exec "$ID" grep Groups: /proc/1/status | tr -d '[:space:]')" Groups:
  same "$(setpriv --groups 0,4,27 "$RUNTIME" --root "$W/state" exec "$ID" grep Groups: /proc/self/status </dev/null | tr -d '[:space:]')" Groups:
}

@test "oci CVE-2022-27649 CVE-2022-27650 CVE-2022-29162 CVE-2022-24769 CVE-2025-27612: nothing is inheritable, with exec --cap neither" {
  bundle "$(args sleep 100) | .process.capabilities.inheritable = [] | .process.capabilities.ambient = []"
  started
  for process in '/proc/1/status' '/proc/self/status'; do
    text=$(cr exec --cap CAP_NET_RAW "$ID" grep '^Cap' "$process")
    has "$text" 'CapInh:	0000000000000000'
    has "$text" 'CapAmb:	0000000000000000'
  done
  has "$text" 'CapEff:	0000000020002420'
}

# --- the runtime itself -------------------------------------------------------------------------------------------------

# hunted CAPABILITIES: a chase inside while others are joining; the runtime's file is what it was.
hunted() {
  local before where i
  before=$(sha256sum <"$W/clawrun")
  where=$(stat -c '%d %i' "$W/clawrun")
  # shellcheck disable=SC2086 # two words
  bundle "$(args /hostile chase $where 6) | .process.capabilities |= with_entries(.value = (.value + $1 | unique) | select(.key != \"ambient\" and .key != \"inheritable\"))"
  # Not `run`: while anything executes a file, nobody opens it for writing.
  cr create --bundle "$W/bundle" "$ID" >"$W/chase" 2>&1
  cr start "$ID"
  wait_for grep -q ready "$W/chase"
  for ((i = 0; i < 30; i++)); do
    # The runtime again, by the link of the one that joins.
    cr exec "$ID" "${2:-/proc/self/exe}" features >/dev/null 2>&1 || true
    cr exec "$ID" true >/dev/null 2>&1 || true
    if grep -qE 'end|WRITTEN|opened' "$W/chase"; then break; fi
  done
  wait_for grep -qE 'end|WRITTEN|opened' "$W/chase"
  lacks "$(cat "$W/chase")" WRITTEN
  lacks "$(cat "$W/chase")" opened
  same "$(sha256sum <"$W/clawrun")" "$before"
}

@test "oci CVE-2019-5736: a container that executes /proc/self/exe cannot write the runtime's file" {
  [ "$RUNTIME" = "$W/clawrun" ] || skip 'it overwrites the runtime'
  hunted '[]'
}

@test "oci CVE-2019-5736: nor by a script whose interpreter is /proc/self/exe" {
  [ "$RUNTIME" = "$W/clawrun" ] || skip 'it overwrites the runtime'
  printf '#!/proc/self/exe\n' >"$ROOT/bin/script"
  chmod 755 "$ROOT/bin/script"
  hunted '[]' /bin/script
}

@test "oci CVE-2019-5736: nor with CAP_SYS_PTRACE, which opens the exe of every process that joins" {
  [ "$RUNTIME" = "$W/clawrun" ] || skip 'it overwrites the runtime'
  hunted '["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"]'
}

@test "oci CVE-2019-5736 CVE-2022-0847: what is executed in a container cannot be opened for writing by its own link" {
  bundle "$(args /proc/self/exe --version)"
  in_container
  [ "$got" -eq 0 ] || skip "the runtime does not run itself: $text"
  # Held from when it waits for its start until nobody executes it any more.
  cr create --bundle "$W/bundle" "$ID" >"$W/out" 2>&1
  exec 9<"/proc/$(cr state "$ID" | jq .pid)/exe"
  cr delete --force "$ID"
  if (: >>/proc/self/fd/9) 2>/dev/null; then fail 'it was opened'; fi
  exec 9<&-
}

@test "oci CVE-2016-9962: a process that joins can neither be looked into nor traced by those inside" {
  bundle "$(args sh -c 'while :; do for p in /proc/[0-9]*; do [ "$p" = /proc/1 ] || ls -l "$p/fd" "$p/root" "$p/cwd"; done; done 2>/dev/null')"
  background "$RUNTIME" --root "$W/state" run --bundle "$W/bundle" "$ID" </dev/null >"$W/seen" 2>&1
  wait_for cr exec "$ID" true
  for _ in $(seq 40); do cr exec "$ID" true; done
  cr kill "$ID" KILL
  # Its own children show what a pipe or a socket of the runtime's would look like; nothing of the host's may be there.
  lacks "$(sort -u "$W/seen")" "$W/state"
  lacks "$(sort -u "$W/seen")" 'socket:'
}

# joiners_looked_at FILTER: what a container with CAP_SYS_PTRACE has seen of those that join it, in $text.
joiners_looked_at() {
  local i
  bundle "$(args /hostile trace-joiners by-the-runtime inherited- 20) | .process.capabilities |= map_values(. + [\"CAP_SYS_PTRACE\"] | unique) | .process.capabilities.inheritable = [] | .process.capabilities.ambient = [] | $1"
  cr create --bundle "$W/bundle" "$ID" >"$W/seen" 2>&1
  cr start "$ID"
  wait_for grep -q ready "$W/seen"
  for ((i = 0; i < 70; i++)); do
    SECRET=inherited-by-the-runtime cr exec "$ID" /bin/true
  done
  touch "$ROOT/tmp/enough"
  wait_for grep -q end, "$W/seen"
  cr delete --force "$ID"
  rm "$ROOT/tmp/enough"
  text=$(grep -v ready "$W/seen" | sort -u)
  # One that is never in time sees nothing, whatever there is to be seen.
  [ "$(sed -n 's/^end, stopped //p' "$W/seen")" -ge 5 ] || fail "it was too late: $text"
}

@test "oci CVE-2016-9962 with CAP_SYS_PTRACE: whoever traces a process that joins has nothing of it that is not the container's" {
  local some='{names: ["acct"], action: "SCMP_ACT_ERRNO"}' clone='{names: ["clone", "clone3", "fork", "vfork"], action: "SCMP_ACT_ERRNO"}'
  local no_new_privileges
  for no_new_privileges in true false; do
    joiners_looked_at ".process.noNewPrivileges = $no_new_privileges | .linux.seccomp = {defaultAction: \"SCMP_ACT_ALLOW\", syscalls: [$some]}"
    lacks "$text" SEEN
  done
  # Where the filter can only be loaded after the clone, nothing else is missing by then.
  joiners_looked_at ".process.noNewPrivileges = true | .linux.seccomp = {defaultAction: \"SCMP_ACT_ALLOW\", syscalls: [$clone]}"
  lacks "$(printf '%s\n' "$text" | grep -v 'SEEN Seccomp_filters')" SEEN
}

@test "oci CVE-2018-15664 CVE-2019-14271: nothing of the image's decides what the runtime does: passwd, nsswitch, ld.so" {
  local kind
  for kind in fifo link directory device; do
    rm -rf "$ROOT/etc/passwd" "$ROOT/etc/group" "$ROOT/etc/nsswitch.conf"
    case $kind in
      fifo) mkfifo "$ROOT/etc/passwd" "$ROOT/etc/group" "$ROOT/etc/nsswitch.conf" ;;
      link) ln -s "$W/canary/file" "$ROOT/etc/passwd" && ln -s /proc/self/mem "$ROOT/etc/group" ;;
      directory) mkdir "$ROOT/etc/passwd" "$ROOT/etc/group" ;;
      device) mknod "$ROOT/etc/passwd" c 1 5 ;;
    esac
    bundle "$(args sh -c 'echo $HOME') | .process.env = [\"PATH=/bin\", \"LD_PRELOAD=/evil.so\"]"
    in_container
    same "$got $text" '0 /'
  done
}

@test "oci CVE-2022-1227: ps does not run what the container calls ps" {
  printf '#!/bin/sh\necho evil >/evil\n' >"$ROOT/bin/ps"
  cp "$ROOT/bin/ps" "$ROOT/bin/nsenter"
  chmod 755 "$ROOT/bin/ps" "$ROOT/bin/nsenter"
  bundle "$(args sleep 100)"
  started
  has "$(cr ps --format json "$ID")" '['
  cr ps "$ID" >/dev/null
  [ ! -e "$ROOT/evil" ]
}

@test "oci CVE-2020-15257: no abstract socket, and none that others may connect to" {
  local before
  before=$(grep -c ' @' /proc/net/unix || true)
  bundle "$(args sleep 100)"
  started
  background "$RUNTIME" --root "$W/state" exec "$ID" sleep 100 </dev/null
  same "$(grep -c ' @' /proc/net/unix || true)" "$before"
  same "$(find "$W/state" -type s | wc -l)" 0
  same "$(find "$W/state" -mindepth 1 -maxdepth 1 -perm /077 | wc -l)" 0
}

@test "oci CVE-2024-21626: no working directory and no descriptor leads out, of the container, of exec and of hooks" {
  local fd
  exec 9</ 8<"$W/canary/dir"
  bundle "$(args /hostile descriptors)"
  in_container
  same "$(printf '%s\n' "$text" | paste -sd,)" '0 other,1 other,2 other'
  for fd in 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    bundle "$(args sh -c 'echo it runs') | .process.cwd = \"/proc/self/fd/$fd\""
    refuses
  done
  bundle "$(args sleep 100)"
  started
  same "$(cr exec "$ID" /hostile descriptors | paste -sd,)" '0 other,1 other,2 other'
  for fd in 3 4 5 6 7 8 9 10 11 12; do
    if text=$(cr exec --cwd "/proc/self/fd/$fd" "$ID" pwd 2>&1); then fail "cwd fd $fd: $text"; fi
  done
  exec 9<&- 8<&-
}

@test "oci CVE-2024-0132 CVE-2025-23266 CVE-2025-23267: hooks have their own environment, directory and mask, and no descriptor" {
  local kind
  cat >"$W/hook" <<EOF
#!/bin/sh
cat >/dev/null
{ env | grep -vE '^(PWD|_|SHLVL|OLDPWD)='; pwd; umask; ls /proc/self/fd | wc -l; } >"$W/log-\$1"
EOF
  chmod 755 "$W/hook"
  for kind in prestart createRuntime createContainer poststart; do
    bundle "$(args true) | .process.env += [\"LD_PRELOAD=/evil.so\", \"EVIL=1\"] | .hooks[\"$kind\"] = [{path: \"$W/hook\", args: [\"hook\", \"$kind\"], env: [\"MINE=1\"]}]"
    (umask 0027 && LD_LIBRARY_PATH=/evil in_container)
    # stdin, stdout, stderr, and that of ls itself.
    same "$kind $(paste -sd' ' "$W/log-$kind")" "$kind MINE=1 $(realpath "$W/bundle") 0027 4"
  done
}

# --- paths --------------------------------------------------------------------------------------------------------------

@test "oci CVE-2019-16884 CVE-2019-19921 CVE-2023-27561 CVE-2023-28642 CVE-2025-52881: nothing but a procfs comes to /proc, and nothing below it" {
  local place
  mkdir -p "$W/fake/self/attr" "$W/fake/sys"
  for place in /proc /proc/ //proc /proc/self /proc/sys /proc/self/attr /proc/../proc /mnt/../proc /proc/sysrq-trigger; do
    bundle "$(args echo 'it runs') | .mounts += [{destination: \"$place\", type: \"tmpfs\", source: \"tmpfs\"}]"
    refuses
    bundle "$(args echo 'it runs') | .mounts += [{destination: \"$place\", type: \"bind\", source: \"$W/fake\", options: [\"bind\"]}]"
    refuses
  done
  ln -s /proc/self "$ROOT/mnt/link"
  bundle "$(args echo 'it runs') | .mounts += [{destination: \"/mnt/link/attr\", type: \"tmpfs\", source: \"tmpfs\"}]"
  refuses
  bundle "$(args echo fine) | .mounts += [{destination: \"/proc/meminfo\", type: \"bind\", source: \"$W/canary/file\", options: [\"bind\", \"ro\"]}]"
  in_container
  same "$got $text" '0 fine'
}

@test "oci CVE-2019-18837: a link in the place of /proc or /sys is an error" {
  local place
  for place in proc sys; do
    rm -rf "${ROOT:?}/$place"
    ln -s "$W/canary/dir" "$ROOT/$place"
    refuses
    ln -sfn /tmp "$ROOT/$place"
    refuses 'symbolic link'
    rm "$ROOT/$place"
    mkdir "$ROOT/$place"
  done
}

@test "oci CVE-2024-1753 CVE-2024-9341 CVE-2024-9407 CVE-2024-9675 CVE-2024-9676 CVE-2024-11218 CVE-2025-9566 CVE-2025-24965 CVE-2026-87766 nsjail-325: links of the image's stay inside it" {
  local link
  for link in "$W/canary" "$W/canary/dir" "$W/canary/file" /nowhere "../../../../../../..$W/canary/dir" /proc/self/root "/proc/1/root$W/canary/dir" loop ../../../.. /; do
    rm -rf "$ROOT/data"
    ln -s "$link" "$ROOT/data"
    # Nothing is there yet that it could find.
    bundle "$(args true) | .mounts += [{destination: \"/data/fresh\", type: \"bind\", source: \"$ROOT/bin/busybox\", options: [\"bind\", \"ro\"]}]"
    in_container
    for destination in /data /data/new /data/dir/a/b /data/file; do
      bundle "$(args true) | .mounts += [{destination: \"$destination\", type: \"tmpfs\", source: \"tmpfs\", options: [\"mode=700\"]}]"
      in_container
      bundle "$(args true) | .mounts += [{destination: \"$destination\", type: \"bind\", source: \"$ROOT/bin\", options: [\"bind\"]}]"
      in_container
      bundle "$(args true) | .mounts += [{destination: \"$destination\", type: \"bind\", source: \"$ROOT/bin/busybox\", options: [\"bind\", \"ro\"]}]"
      in_container
      bundle "$(args true) | .mounts += [{destination: \"$destination\", type: \"tmpfs\", source: \"tmpfs\", options: [\"tmpcopyup\"]}]"
      in_container
    done
    bundle "$(args true) | .linux.devices = [{path: \"/data/tun\", type: \"c\", major: 10, minor: 200, fileMode: 438, uid: 7, gid: 7}, {path: \"/data\", type: \"c\", major: 1, minor: 3, uid: 7}]"
    in_container
    bundle "$(args true) | .linux.maskedPaths += [\"/data\", \"/data/file\"] | .linux.readonlyPaths += [\"/data\", \"/data/dir\"]"
    in_container
  done
}

@test "oci CVE-2026-41579 CVE-2026-47766 CVE-2026-88264 CVE-2026-88265 CVE-2025-31133 CVE-2025-52565: a /dev of the image's leads nowhere" {
  local no_dev='.mounts |= map(select(.destination | startswith("/dev") | not))' kind tty
  for kind in dev null console pts ptmx; do
    rm -rf "${ROOT:?}/dev"
    case $kind in
      dev) ln -s "$W/canary/dir" "$ROOT/dev" ;;
      null) mkdir "$ROOT/dev" && ln -s /proc/sysrq-trigger "$ROOT/dev/null" ;;
      console) mkdir "$ROOT/dev" && ln -s "$W/canary/file" "$ROOT/dev/console" ;;
      pts) mkdir "$ROOT/dev" && ln -s "$W/canary/dir" "$ROOT/dev/pts" ;;
      ptmx) mkdir "$ROOT/dev" && ln -s "$W/canary/file" "$ROOT/dev/ptmx" ;;
    esac
    bundle "$(args true) | $no_dev"
    in_container
    for tty in "$no_dev" "$no_dev | .mounts += [{destination: \"/dev/pts\", type: \"devpts\", source: \"devpts\", options: [\"newinstance\", \"ptmxmode=0666\"]}]"; do
      bundle "$(args true) | .process.terminal = true | $tty"
      timeout 20 script -qec "'$RUNTIME' --root '$W/state' run --bundle '$W/bundle' $ID" /dev/null </dev/null >/dev/null 2>&1 || [ $? -ne 124 ] || fail "$kind: it hangs"
      host_is_untouched
      cr delete --force "$ID" >/dev/null 2>&1 || true
    done
  done
}

@test "oci CVE-2025-31133: what is masked is the host's null device, whatever the image's /dev/null is" {
  rm -rf "${ROOT:?}/dev"
  mkdir "$ROOT/dev"
  echo secret >"$ROOT/secret"
  echo fake >"$ROOT/dev/null"
  bundle "$(args sh -c '[ -c /secret ] && stat -c %t:%T /secret && cat /secret') | .linux.maskedPaths += [\"/secret\"]"
  in_container
  same "$got $text" '0 1:3'
  # With the image's /dev: an error, or the host's.
  echo hidden >"$ROOT/secret"
  bundle "$(args cat /secret) | .linux.maskedPaths += [\"/secret\"] | .mounts |= map(select(.destination | startswith(\"/dev\") | not))"
  in_container
  lacks "$text" hidden
  lacks "$text" fake
}

@test "oci CVE-2025-52565: a FIFO, a device or a file at /dev/console is neither opened nor followed" {
  local kind
  for kind in fifo device file; do
    rm -rf "${ROOT:?}/dev"
    mkdir "$ROOT/dev"
    case $kind in
      fifo) mkfifo "$ROOT/dev/console" ;;
      device) mknod "$ROOT/dev/console" c 1 7 ;;
      file) echo mine >"$ROOT/dev/console" ;;
    esac
    bundle "$(args sh -c 'busybox stat -c %t:%T /dev/console') | .process.terminal = true | .mounts |= map(select(.destination != \"/dev\"))"
    text=$(timeout 20 script -qec "'$RUNTIME' --root '$W/state' run --bundle '$W/bundle' $ID" /dev/null </dev/null | tr -d '\r')
    has "$text" 88:0
    [ "$kind" != file ] || same "$(cat "$ROOT/dev/console")" mine
  done
}

@test "oci CVE-2021-30465 CVE-2024-45310 CVE-2025-54867 CVE-2025-62161 CVE-2025-62596: destinations that are exchanged meanwhile" {
  local i
  mkdir -p "$ROOT/data/real/sub"
  ln -s "$W/canary/dir" "$ROOT/data/link"
  background "$PLACE/bin/hostile" exchange "$ROOT/data/real" "$ROOT/data/link" >/dev/null
  for ((i = 0; i < 60; i++)); do
    bundle "$(args true) | .mounts += [
      {destination: \"/data/real\", type: \"tmpfs\", source: \"tmpfs\"},
      {destination: \"/data/link/new-$i/deep\", type: \"tmpfs\", source: \"tmpfs\"},
      {destination: \"/data/real/file-$i\", type: \"bind\", source: \"$ROOT/bin/busybox\", options: [\"bind\"]}]
      | .linux.devices = [{path: \"/data/real/node-$i\", type: \"c\", major: 1, minor: 3, uid: 7}]"
    in_container
  done
}

# --- the kernel's files -------------------------------------------------------------------------------------------------

@test "oci CVE-2022-0811 CVE-2025-52881: a sysctl is one name of a namespace of the container's, and one value" {
  local key value before
  before=$(cat /proc/sys/kernel/core_pattern)
  for key in kernel.core_pattern vm.drop_caches kernel.hostname 'kernel.shm_rmid_forced=1+kernel.core_pattern' kernel/core_pattern \
    net.ipv4...kernel.core_pattern net//..//..//kernel/core_pattern 'net.ipv4./../kernel.core_pattern' fs.binfmt_misc.register \
    kernel.modprobe user.max_user_namespaces 'net.' ''; do
    bundle "$(args echo 'it runs') | .linux.sysctl = {\"$key\": \"|/evil\"}"
    refuses
  done
  for value in '1\\nkernel.core_pattern=|/evil' '1+kernel.core_pattern=|/evil' '1\\u0000'; do
    bundle "$(args echo 'it runs') | .linux.sysctl = {\"kernel.shm_rmid_forced\": \"${value//\\\\/\\}\"}"
    refuses
  done
  same "$(cat /proc/sys/kernel/core_pattern)" "$before"
  # Into the namespace itself, whatever the image has at /proc/sys.
  mkdir -p "$ROOT/proc/sys/net/ipv4"
  bundle "$(args cat /proc/sys/net/ipv4/ip_unprivileged_port_start) | .linux.sysctl = {\"net.ipv4.ip_unprivileged_port_start\": \"77\"}"
  in_container
  same "$got $text" '0 77'
}

@test "oci CVE-2022-0492 CVE-2023-25809: cgroups are read-only, and without a cgroup namespace of its own writing changes nothing" {
  local attack='for f in $(busybox find /sys/fs/cgroup -name release_agent -o -name cgroup.procs -o -name "*.max" -o -name notify_on_release); do (echo 1 >$f) 2>/dev/null && echo "WRITTEN $f"; done; mount -t cgroup -o memory none /mnt 2>/dev/null && echo MOUNTED; true'
  bundle "$(jq -cn --arg a "$attack" '$a' | sed 's/.*/.process.args = ["sh", "-c", &]/') | .process.capabilities |= with_entries(.value += [\"CAP_DAC_OVERRIDE\"])
    | .linux.namespaces |= map(select(.type != \"cgroup\")) + [{type: \"cgroup\"}]"
  cp "$W/bundle/config.json" "$W/base.json"
  in_container
  lacks "$text" WRITTEN
  lacks "$text" MOUNTED
  jq '.linux.namespaces |= map(select(.type != "cgroup")) | .mounts |= map(if .type == "cgroup" then .options -= ["ro"] else . end)' "$W/base.json" >"$W/bundle/config.json"
  in_container
  lacks "$text" WRITTEN
  lacks "$text" MOUNTED
}

@test "oci core_pattern: the kernel's switches are masked or read-only" {
  bundle "$(args /hostile look-at /proc/kcore /proc/keys /proc/timer_list /sys/firmware/acpi)"
  in_container
  lacks "$text" ' OK'
  bundle "$(args sh -c 'for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sysrq-trigger /sys/kernel/uevent_helper /proc/irq/default_smp_affinity /proc/sys/vm/drop_caches; do (echo 1 >$f) 2>/dev/null && echo "WRITTEN $f"; done; echo end') | .process.capabilities |= with_entries(.value += [\"CAP_DAC_OVERRIDE\"])"
  in_container
  same "$got $text" '0 end'
}

@test "oci shocker CVE-2026-43391 CVE-2026-43403: handles of files open nothing without CAP_DAC_READ_SEARCH" {
  mkdir -p "$ROOT/usr" # whose handle it asks for
  bundle "$(args /hostile attempts open_by_handle_at)"
  in_container
  lacks "$text" 'open_by_handle_at OK'
}

@test "oci keyrings: a session keyring of its own, that no name leads to" {
  command -v keyctl >/dev/null || skip 'needs keyctl (keyutils)'
  cp "$(command -v keyctl)" "$ROOT/bin/keyctl"
  ldd "$(command -v keyctl)" | grep -o '/[^ ]*' | while read -r library; do mkdir -p "$ROOT/${library%/*}" && cp -L "$library" "$ROOT/$library"; done
  bundle "$(args sleep 100) | .linux.maskedPaths = []"
  # Somebody who waits for the containers to come, with keyrings that let themselves be found.
  keyctl session - sh -c "
    for name in _ses.$ID _ses.exec _ses; do
      ring=\$(keyctl newring \$name @s); keyctl setperm \$ring 0x3f3f3f3f; keyctl add user secret-$$ value \$ring >/dev/null
    done
    timeout 20 '$RUNTIME' --root '$W/state' create --bundle '$W/bundle' $ID </dev/null >/dev/null 2>&1
    '$RUNTIME' --root '$W/state' start $ID
    '$RUNTIME' --root '$W/state' exec $ID keyctl show @s" >"$W/keys" 2>&1 </dev/null || fail "$(cat "$W/keys")"
  has "$(cat "$W/keys")" _ses
  lacks "$(cat "$W/keys")" "secret-$$"
}

# --- states, processes, limits --------------------------------------------------------------------------------------------

# strange number|tick: the container has ended, and its record has the number of a stranger's process, or its start time too.
strange() {
  local pid state
  cr create --bundle "$W/bundle" "$ID" >"$W/out" 2>&1 || fail "$(cat "$W/out")"
  cr start "$ID"
  # Not of the same tick, which is 10 ms.
  sleep 0.05
  background sleep 100
  pid=$!
  state=$W/state/$ID/state.json
  [ -e "$state" ] || skip 'the record of this runtime is another'
  if [ "$1" = tick ]; then jq -e .init.pidfd_inode "$state" >/dev/null || skip 'pidfds have no inodes here (Linux 6.9)'; fi
  cr kill "$ID" KILL
  wait_for sh -c "'$RUNTIME' --root '$W/state' state '$ID' | grep -q stopped"
  sed -i -E "0,/\"pid\": *[0-9]+/s//\"pid\":$pid/" "$state"
  # proc_pid_stat(5), field 22; the name of this one has no blanks.
  [ "$1" = number ] || sed -i -E "0,/\"start_ticks\": *[0-9]+/s//\"start_ticks\":$(cut -d' ' -f22 "/proc/$pid/stat")/" "$state"
  has "$(cr state "$ID")" stopped
  if cr kill "$ID" KILL 2>/dev/null; then fail 'kill said yes'; fi
  if cr exec "$ID" true 2>/dev/null; then fail 'exec said yes'; fi
  if cr pause "$ID" 2>/dev/null; then fail 'pause said yes'; fi
  if cr update --pids-limit 9 "$ID" 2>/dev/null; then fail 'update said yes'; fi
  cr delete --force "$ID" || true
  kill -0 "$pid"
}

@test "oci pid-reuse: neither kill nor exec nor delete reaches the process that has the number now" {
  bundle "$(args sleep 100)"
  strange number
}

@test "oci pid-reuse: nor one that was started in the same tick of the clock" {
  bundle "$(args sleep 100)"
  strange tick
}

@test "oci bomb-at-setup: one process and little memory end the container, not the runtime" {
  bundle "$(args echo 'it runs') | .linux.resources = {pids: {limit: 1}, memory: {limit: 524288}}"
  in_container
  cr delete --force "$ID"
  same "$(find "$W/state" -mindepth 1 | wc -l)" 0
}

@test "oci crun-2262: a mount that pins a namespace below the root is no reason for another root" {
  mkdir "$W/pin"
  : >"$W/pin/ns"
  unshare -n true
  unshare -m --propagation private sh -c "
    mount -t tmpfs pin '$W/pin' && : >'$W/pin/ns' && unshare -m='$W/pin/ns' true 2>/dev/null || mount --bind /proc/self/ns/net '$W/pin/ns'
    timeout 20 '$RUNTIME' --root '$W/state' run --bundle '$W/bundle' $ID </dev/null" >"$W/out" 2>&1 || true
  bundle "$(args sh -c 'ls /; [ -e /bin/busybox ] && [ ! -e /etc/debian_version ] && echo right')"
  in_container
  has "$text" right
}

@test "oci CVE-2021-43784: maps of any size are written whole, or are an error" {
  local count
  for count in 200 340 4000; do
    bundle "$(args sh -c 'busybox wc -l </proc/self/uid_map') | .linux.namespaces += [{type: \"user\"}] | .linux.uidMappings = [range($count) | {containerID: ., hostID: (100000 + 2 * .), size: 1}] | .linux.gidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .mounts |= map(select(.type == \"proc\" or .type == \"tmpfs\"))"
    chown -R 100000:100000 "$ROOT"
    in_container
    [ "$got" -ne 0 ] || same "$(echo "$text" | tr -d ' ')" "$count"
  done
}

@test "oci: a link in the place of the pid file is replaced, not written through" {
  bundle "$(args sleep 100)"
  ln -s "$W/canary/file" "$W/pid"
  cr create --pid-file "$W/pid" --bundle "$W/bundle" "$ID" >/dev/null 2>&1
  host_is_untouched
  [ ! -L "$W/pid" ]
  cr start "$ID"
  ln -sf "$W/canary/file" "$W/pid"
  cr exec --pid-file "$W/pid" "$ID" true
  host_is_untouched
}

@test "oci: who keeps the terminal after its command's end does not hold exec" {
  bundle "$(args sleep 100)"
  started
  timeout 20 script -qec "'$RUNTIME' --root '$W/state' exec --tty '$ID' sh -c 'trap \"\" HUP; yes & sleep 0.2; exit 7'" /dev/null </dev/null >/dev/null && got=0 || got=$?
  same "$got" 7
}
