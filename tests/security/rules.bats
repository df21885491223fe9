#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2154  # bats runs each test in a subshell; for_each sets $who
# One test for each class of known failure of a container runtime or sandbox, named by its id.
load helper

setup() {
  # Host directories that a test may lead astray to.
  CANARY=$PLACE/canary-$BATS_TEST_NUMBER
  mkdir -p "$CANARY"/{dir,sub/dir}
  echo host >"$CANARY/file"
  chmod -R a+rX "$CANARY"
  if [ "$(id -u)" -eq 0 ]; then chown -R "$WHO" "$CANARY"; fi
  BEFORE=$(listing "$CANARY")
  ROOT=$PLACE/user/rootfs-$BATS_TEST_NUMBER
}

teardown() {
  end_background
  rm -rf "$CANARY" "$ROOT"
}

canary_is_untouched() { same "$(listing "$CANARY")" "$BEFORE"; }

# in_rootfs [OPTION…] -- COMMAND…: in the directory $ROOT. Ends well, or with one line and 125; the host is as it was.
in_rootfs() {
  local got=0 text before
  before=$(listing "$ROOT")
  text=$(as "$who" timeout 20 "$PLACE/bin/clawrun" exec --quiet --rootfs "$ROOT" "$@" 2>&1 </dev/null) || got=$?
  case $got in
    # 1: the command did not find what it wanted.
    0 | 1) ;;
    125) [ "$(printf '%s\n' "$text" | wc -l)" -eq 1 ] || fail "not one line: $text" ;;
    *) fail "status $got: $text" ;;
  esac
  same "$(listing "$ROOT")" "$before"
  canary_is_untouched
  outcome="$got $text"
}

fresh_rootfs() {
  rm -rf "$ROOT"
  make_rootfs "$ROOT"
}

# --- identity ---------------------------------------------------------------------------------------------------------

odd_users() {
  local word
  for word in 1000: :0 : '' +0 -0 0x0 0: root: ' 0' '0 ' 00x 1e3 1000:1000:0 1000,0 4294967295 4294967296 -1 nobody 1000:root ROOT; do
    refused 125 user clawrun_exec --user "$word" -- true
  done
  same "$(clawrun_exec --user 7 -- id -u)" 7
  same "$(clawrun_exec --user 7 -- id -g)" 7
  same "$(clawrun_exec --user 1:2 -- sh -c 'id -u; id -g' | paste -sd:)" 1:2
}

@test "CVE-2016-3697 CVE-2026-30892: a user is a decimal number, whole, or an error; never root by mistake" {
  for_each odd_users
}

no_other_groups() {
  same "$(clawrun_exec -- id -G)" 1000
}

@test "CVE-2022-2989: no supplementary group of the caller's is kept" {
  need_root
  who=root
  same "$(setpriv --groups 0,4,27 "$PLACE/bin/clawrun" exec --rootfs host -- id -G)" 1000
  same "$(setpriv --groups 0,4,27 "$PLACE/bin/clawrun" exec --rootfs host --user root -- id -G)" 0
  same "$(setpriv --groups 0,4,27 "$PLACE/bin/clawrun" exec --rootfs host --user root --id-mapping range -- id -G)" 0
  for_each no_other_groups
  # An ordinary user's cannot be dropped (user_namespaces(7)): they reach no file as a group of the sandbox's, and --verbose says so.
  has "$(setpriv --reuid="$WHO" --regid="$WHO" --groups 4 --inh-caps=-all "$PLACE/bin/clawrun" exec --rootfs host --verbose -- true 2>&1)" 'supplementary groups'
}

capability_sets() {
  local sets
  sets=$(clawrun_exec -- grep ^Cap /proc/self/status | awk '{print $2}' | sort -u)
  same "$sets" 0000000000000000
  sets=$(clawrun_exec --user root -- grep ^Cap /proc/self/status | awk '{print $2}' | sort -u)
  same "$sets" 0000000000000000
  # NET_RAW, bit 13, and not one more in any set.
  sets=$(clawrun_exec --cap-add NET_RAW -- grep ^Cap /proc/self/status | awk '{print $2}' | sort -u)
  same "$sets" 0000000000002000
  same "$(clawrun_exec -- grep NoNewPrivs /proc/self/status | tr -dc 01)" 1
}

@test "CVE-2022-27649 CVE-2022-27650 CVE-2022-29162 CVE-2022-24769 CVE-2025-27612: no capability in any set, the inheritable one too" {
  for_each capability_sets
}

# --- the runtime itself -----------------------------------------------------------------------------------------------

init_is_closed() {
  local text
  text=$(hostile -- look-at /proc/1/{mem,environ,fd,fdinfo,root,cwd,exe,maps,auxv,ns/mnt,ns/user,map_files})
  [ "$(printf '%s\n' "$text" | grep -c '/proc/1/')" -eq 12 ] || fail "$text"
  lacks "$text" ' OK'
  text=$(hostile -- trace-everyone)
  has "$text" 'pid 1 EPERM EPERM'
  has "$text" 'own-child OK'
  # The same with the powers that are handed out at most.
  text=$(hostile --user root --cap-add SYS_PTRACE --landlock off --seccomp unconfined -- look-at /proc/1/{mem,environ,fd,exe,maps})
  lacks "$text" '/proc/1/mem OK'
  # An own process can be looked at: the answers above mean something.
  has "$(hostile -- look-at /proc/self/fd)" '/proc/self/fd OK'
}

@test "CVE-2016-9962: init can neither be traced nor looked into" {
  for_each init_is_closed
}

@test "CVE-2016-9962: every process of another sandbox of the same caller is out of reach" {
  for_each other_sandboxes
}

other_sandboxes() {
  local marker="other-$who-$$" pid
  background clawrun_exec -- /hostile sleep "$marker"
  inside_pid "$marker"
  same "$(hostile -- trace-everyone | grep -c '^pid [^1]')" 0
  lacks "$(clawrun_exec -- sh -c 'cat /proc/[0-9]*/cmdline' | tr '\0' ' ')" "$marker"
  hostile --landlock off -- signal-everyone
  kill -0 "$pid"
  hostile --landlock off --user root --cap-add KILL --id-mapping single -- signal-everyone
  kill -0 "$pid"
  end_background
  nobody_with "$marker"
}

@test "CVE-2016-8659 CVE-2017-5226 CVE-2019-12439 CVE-2020-5291 CVE-2026-41163: never setuid" {
  need_root
  cp "$PLACE/bin/clawrun" "$PLACE/bin/clawrun-suid"
  chmod 4755 "$PLACE/bin/clawrun-suid"
  refused 125 setuid as user "$PLACE/bin/clawrun-suid" exec --rootfs host -- true
  chmod 2755 "$PLACE/bin/clawrun-suid"
  chgrp 4 "$PLACE/bin/clawrun-suid" && chmod 2755 "$PLACE/bin/clawrun-suid"
  refused 125 setuid as user "$PLACE/bin/clawrun-suid" exec --rootfs host -- true
  chmod 755 "$PLACE/bin/clawrun-suid"
  as user "$PLACE/bin/clawrun-suid" exec --rootfs host -- true
  rm "$PLACE/bin/clawrun-suid"
}

the_binary_stays() {
  local hash
  hash=$(sha256sum <"$PLACE/bin/clawrun")
  # The program is bound inside besides, writable as far as the caller says: what counts is what its owner lets the caller do.
  # shellcheck disable=SC2016 # for the shell inside
  clawrun_exec -- sh -c 'i=0; while [ $i -lt 100 ]; do i=$((i+1)); for exe in /proc/[0-9]*/exe; do (: >"$exe"); (: >>"$exe"); done; done 2>/dev/null; true'
  same "$(sha256sum <"$PLACE/bin/clawrun")" "$hash"
  # Init runs from a sealed memfd that cannot even be opened for reading.
  refused_exe=$(hostile --user root -- look-at /proc/1/exe)
  same "$refused_exe" '/proc/1/exe EACCES'
}

@test "CVE-2019-5736: the runtime's binary cannot be reached or written through /proc/PID/exe" {
  for_each the_binary_stays
}

@test "CVE-2018-15664 CVE-2019-14271: nothing of the root is loaded or looked up by clawrun" {
  for_each trap_in_the_root
  lacks "$(readelf -lW "$CLAWRUN")" INTERP
}

trap_in_the_root() {
  local text
  fresh_rootfs
  mkdir -p "$ROOT"/lib/x86_64-linux-gnu "$ROOT"/etc
  printf 'passwd: trap\ngroup: trap\nhosts: trap\n' >"$ROOT/etc/nsswitch.conf"
  printf 'root:x:0:0::/:/bin/sh\n' >"$ROOT/etc/passwd"
  echo x >"$ROOT/lib/libnss_trap.so.2"
  echo /lib/libnss_trap.so.2 >"$ROOT/etc/ld.so.preload"
  text=$(as "$who" "$PLACE/bin/hostile" watch "$ROOT"/etc/{nsswitch.conf,passwd,ld.so.preload} "$ROOT/lib/libnss_trap.so.2" -- \
    "$PLACE/bin/clawrun" exec --rootfs "$ROOT" --user 5 -- /bin/sh -c :)
  same "$text" 'status 0'
  # The watch sees what is opened: here by the command.
  text=$(as "$who" "$PLACE/bin/hostile" watch "$ROOT/etc/passwd" -- "$PLACE/bin/clawrun" exec --rootfs "$ROOT" -- /bin/busybox cat /etc/passwd)
  has "$text" 'EVENT'
}

@test "CVE-2024-0132 CVE-2025-23266 CVE-2025-23267: variables for the command are never clawrun's own, nor its helpers'" {
  for_each preloaded
}

preloaded() {
  # shellcheck disable=SC2016 # for the shell inside
  local text show='echo "[$LD_PRELOAD]"'
  echo x >"$PLACE/log/evil.so"
  chmod 644 "$PLACE/log/evil.so"
  text=$(as "$who" "$PLACE/bin/hostile" watch "$PLACE/log/evil.so" -- "$PLACE/bin/clawrun" exec --rootfs host \
    --env "LD_PRELOAD=$PLACE/log/evil.so" --env GLIBC_TUNABLES=x --bind "$PLACE/bin/hostile:/hostile:ro" -- /hostile descriptors)
  lacks "$text" EVENT
  text=$(as "$who" env "LD_PRELOAD=$PLACE/log/evil.so" "$PLACE/bin/hostile" watch "$PLACE/log/evil.so" -- "$PLACE/bin/clawrun" exec --rootfs host -- sh -c "$show")
  lacks "$text" EVENT
  has "$text" '[]'
  rm "$PLACE/log/evil.so"
}

@test "CVE-2020-14298: every rule of this suite has a test that carries its id" {
  local id
  while read -r id; do
    [ "${id#\#}" = "$id" ] || continue
    grep -hE "^@test .*\b$id\b" "$BATS_TEST_DIRNAME"/*.bats >/dev/null || fail "no test is named $id"
  done <"$BATS_TEST_DIRNAME/rules"
}

# --- terminals --------------------------------------------------------------------------------------------------------

terminal_requests() {
  local text
  text=$(hostile -- attempts TIOCSTI TIOCSTI-high TIOCSTI-all-high TIOCLINUX TIOCLINUX-high TIOCSETD TCGETS)
  answers "$text" TIOCSTI=EPERM TIOCSTI-high=EPERM TIOCSTI-all-high=EPERM TIOCLINUX=EPERM TIOCLINUX-high=EPERM TIOCSETD=EPERM TCGETS=ENOTTY
  text=$(hostile --seccomp unconfined -- attempts TIOCSTI TIOCSTI-high TIOCLINUX-high)
  answers "$text" TIOCSTI=ENOTTY TIOCSTI-high=ENOTTY TIOCLINUX-high=ENOTTY
}

@test "CVE-2017-5226 CVE-2019-10063 CVE-2023-28100: TIOCSTI and TIOCLINUX are refused, whatever the high bits say" {
  for_each terminal_requests
}

@test "CVE-2017-5226: the caller's terminal is not passed in, and --tty gives another one" {
  for_each with_a_terminal
}

# under_terminal COMMAND: with a terminal of its own, as a person has one.
under_terminal() { as "$who" script -qec "$1" /dev/null </dev/null | tr -d '\r'; }

with_a_terminal() {
  local run="$PLACE/bin/clawrun exec --rootfs host"
  same "$(under_terminal 'tty >/dev/null && echo yes')" yes
  # shellcheck disable=SC2016 # for the shell inside
  same "$(under_terminal "$run -- sh -c 'for i in 0 1 2; do test -t \$i && echo terminal \$i; done; (: </dev/tty) 2>/dev/null && echo tty; true'")" ''
  has "$(under_terminal "$run --tty -- tty")" /dev/pts/0
  same "$(under_terminal "$run --tty -- sh -c 'ps -o tty= -p 1; ls /dev/pts' 2>/dev/null" | grep -c '^[1-9]')" 0
}

@test "CVE-2025-52565: the terminal of --tty is clawrun's own, whatever the root has planted in /dev" {
  for_each planted_terminals
}

planted_terminals() {
  local name
  fresh_rootfs
  rmdir "$ROOT/dev"
  mkdir -p "$ROOT/dev/pts"
  for name in console ptmx tty pts/0 pts/ptmx; do ln -s "$CANARY/file" "$ROOT/dev/$name"; done
  has "$(under_terminal "$PLACE/bin/clawrun exec --rootfs $ROOT --tty -- /bin/busybox tty")" /dev/pts/0
  canary_is_untouched
  rm -r "$ROOT/dev/pts"
  ln -s "$CANARY/dir" "$ROOT/dev/pts"
  has "$(under_terminal "$PLACE/bin/clawrun exec --rootfs $ROOT --tty -- /bin/busybox tty")" /dev/pts/0
  canary_is_untouched
}

# --- mounts over what is ours -----------------------------------------------------------------------------------------

covered_targets() {
  local target
  for target in /proc /proc/self /proc/self/attr /proc/sys /proc/sys/kernel /proc/1/root/x /sys /sys/fs /dev /dev/null /dev/pts /dev/shm / //proc /tmp/../proc /tmp/./x /proc/ ..; do
    refused 125 '' clawrun_exec --bind "$CANARY/dir:$target" -- true
    refused 125 '' clawrun_exec --tmpfs "$target" -- true
  done
  clawrun_exec --bind "$CANARY/dir:/procession" --tmpfs /device -- test -d /procession
}

@test "CVE-2019-16884 CVE-2019-19921 CVE-2023-27561 CVE-2023-28642: nothing can be mounted on or below /proc, /sys and /dev" {
  for_each covered_targets
}

# proc_is_real: what stands at /proc inside is a procfs, and its masks hold.
proc_is_a_link() {
  local target
  for target in /tmp ../../../../../../tmp "$CANARY/dir" . /proc bin loop; do
    fresh_rootfs
    rmdir "$ROOT/proc"
    ln -s "$target" "$ROOT/proc"
    ln -s loop "$ROOT/loop"
    in_rootfs -- /bin/busybox true
    has "$outcome" '125 '
    has "$outcome" '/proc'
  done
}

@test "CVE-2019-18837: a root whose /proc is a symbolic link is refused" {
  for_each proc_is_a_link
}

dev_is_a_link() {
  local target
  for target in "$CANARY/dir" "../../../../../../..$CANARY/dir" /tmp . loop; do
    fresh_rootfs
    rmdir "$ROOT/dev"
    ln -s "$target" "$ROOT/dev"
    ln -s loop "$ROOT/loop"
    in_rootfs -- /bin/busybox true
    has "$outcome" '125 '
    has "$outcome" '/dev'
    in_rootfs --writable -- /bin/busybox true
  done
}

@test "CVE-2026-41579 CVE-2026-47766: a root whose /dev is a symbolic link makes nothing on the host" {
  for_each dev_is_a_link
}

devices_are_links() {
  local name
  fresh_rootfs
  for name in null console ptmx full zero tty shm mqueue fd stdin; do ln -s "$CANARY/file" "$ROOT/dev/$name"; done
  in_rootfs -- /bin/busybox stat -c '%t:%T' /dev/null /dev/zero /dev/full
  same "$outcome" "0 1:3
1:5
1:7"
  in_rootfs --writable -- /bin/sh -c 'echo x >/dev/console; echo x >/dev/null; true'
}

@test "CVE-2026-88264 CVE-2026-88265: devices are never opened by a path of the root" {
  for_each devices_are_links
}

masks_are_real() {
  local text path masked=0
  fresh_rootfs
  rm -rf "${ROOT:?}/dev"
  mkdir "$ROOT/dev"
  ln -s /proc/sysrq-trigger "$ROOT/dev/null"
  text=$(as "$who" "$PLACE/bin/clawrun" exec --rootfs "$ROOT" --user root --bind "$PLACE/bin/hostile:/hostile:ro" -- /hostile look-at \
    /proc/{acpi,asound,cmdline,interrupts,kcore,keys,kmsg,latency_stats,sched_debug,scsi,timer_list,timer_stats,sysrq-trigger,vmallocinfo,slabinfo,pagetypeinfo,kpageflags})
  lacks "$text" ' OK'
  for path in /proc/{cmdline,interrupts,kcore,keys,timer_list}; do
    [ -e "$path" ] || continue
    masked=$((masked + 1))
    same "$(as "$who" "$PLACE/bin/clawrun" exec --rootfs "$ROOT" -- /bin/busybox stat -c '%F %t:%T' "$path")" 'character special file 1:3'
  done
  [ "$masked" -gt 0 ]
  # Addresses of the kernel read as zero.
  same "$(clawrun_exec --user root -- sh -c 'grep -vc "^0000000000000000 " /proc/kallsyms || true')" 0
  # Outside there is something to hide.
  has "$("$PLACE/bin/hostile" look-at /proc/interrupts)" ' OK'
}

@test "CVE-2025-31133 CVE-2025-54867 CVE-2025-62161: what is masked is masked by the host's null device, checked by number" {
  for_each masks_are_real
}

# --- symbolic links in a root, and in what is bound -------------------------------------------------------------------

symlink_corpus() {
  local name target
  for name in tmp workspace etc dev/shm bind; do
    for target in "$CANARY/dir" "$CANARY/sub/dir" "../../../../../../../../../..$CANARY/dir" "$CANARY/missing" /proc/self/root "/proc/1/root$CANARY/dir" /proc/self/cwd loop; do
      fresh_rootfs
      rm -rf "${ROOT:?}/$name"
      mkdir -p "$ROOT/${name%/*}"
      rm -rf "${ROOT:?}/$name"
      ln -s "$target" "$ROOT/$name"
      ln -s loop "$ROOT/loop"
      in_rootfs --bind "$PLACE/bin/hostile:/bind/made" --network host -- /bin/busybox touch /tmp/x /workspace/y
      in_rootfs --writable --bind "$PLACE/bin:/bind/made" -- /bin/busybox touch /tmp/x /workspace/y /etc/z /new
    done
  done
}

@test "CVE-2024-1753 CVE-2024-9341 CVE-2024-9407 CVE-2024-9675 CVE-2024-9676 CVE-2024-11218 CVE-2025-9566 CVE-2025-62596 nsjail-325: links of a root lead inside it or to an error" {
  for_each symlink_corpus
}

planted_files() {
  fresh_rootfs
  ln -s "$CANARY/made-by-clawrun" "$ROOT/config.json"
  ln -s "$CANARY/made-by-clawrun" "$ROOT/etc/resolv.conf"
  ln -s "$CANARY/made-by-clawrun" "$ROOT/etc/hostname"
  in_rootfs --network host --bind "$PLACE/bin/hostile:/config.json" -- /bin/busybox true
  in_rootfs --writable --network host --bind "$PLACE/bin/hostile:/config.json" -- /bin/busybox true
  in_rootfs --hostname other -- /bin/busybox hostname
  same "$outcome" '0 other'
}

@test "CVE-2025-24965: no file is made through a link that the root has planted" {
  for_each planted_files
}

symlink_parents() {
  fresh_rootfs
  ln -s "../../../../../..$CANARY/dir" "$ROOT/up"
  ln -s / "$ROOT/oldroot"
  ln -s /proc/self/root "$ROOT/magic"
  in_rootfs --bind "$PLACE/bin:/up/a/b/c" -- /bin/busybox true
  in_rootfs --bind "$PLACE/bin:/oldroot$CANARY/dir/a" -- /bin/busybox true
  in_rootfs --bind "$PLACE/bin:/magic$CANARY/dir/a" -- /bin/busybox true
  in_rootfs --tmpfs "/up/x" --tmpfs /oldroot/y --tmpfs /magic/z -- /bin/busybox true
  # A bind is itself a tree of strangers.
  mkdir -p "$ROOT/../tree-$BATS_TEST_NUMBER"
  ln -sfn "$CANARY/dir" "$ROOT/../tree-$BATS_TEST_NUMBER/link"
  in_rootfs --bind "$ROOT/../tree-$BATS_TEST_NUMBER:/tree" --tmpfs /tree/link/t -- /bin/busybox true
  in_rootfs --bind "$ROOT/../tree-$BATS_TEST_NUMBER:/tree" --bind "$PLACE/bin:/tree/link" -- /bin/busybox true
  rm -r "$ROOT/../tree-$BATS_TEST_NUMBER"
}

@test "CVE-2026-87766: a mount point whose parents are links is made inside or not at all" {
  for_each symlink_parents
}

# racing COUNT COMMAND…: runs it again and again while $1 and $2 of the caller's change places.
racing() {
  local a=$1 b=$2 count=$3 i got
  shift 3
  background as "$who" "$PLACE/bin/hostile" exchange "$a" "$b" >"$PLACE/log/racer"
  wait_for grep -q swapping "$PLACE/log/racer"
  for ((i = 0; i < count; ++i)); do
    got=0
    "$@" >>"$PLACE/log/racing" 2>&1 </dev/null || got=$?
    case $got in 0 | 1 | 125 | 126 | 127) ;; *) break ;; esac
  done
  end_background
  case $got in 0 | 1 | 125 | 126 | 127) ;; *) fail "status $got: $(tail -3 "$PLACE/log/racing")" ;; esac
}

race_on_a_destination() {
  fresh_rootfs
  rm -rf "$ROOT/tmp"
  mkdir "$ROOT/tmp"
  ln -s "$CANARY/dir" "$ROOT/tmp.link"
  as "$who" true
  [ "$(id -u)" -ne 0 ] || chown -hR "$WHO" "$ROOT"
  racing "$ROOT/tmp" "$ROOT/tmp.link" 100 as "$who" "$PLACE/bin/clawrun" exec --rootfs "$ROOT" --time-ns -- /bin/busybox touch /tmp/x
  canary_is_untouched
  # Below a workspace that the attacker shares.
  mkdir -p "$ROOT/shared/mount"
  ln -s "$CANARY/dir" "$ROOT/shared/link"
  [ "$(id -u)" -ne 0 ] || chown -hR "$WHO" "$ROOT"
  racing "$ROOT/shared/mount" "$ROOT/shared/link" 100 as "$who" "$PLACE/bin/clawrun" exec --rootfs host --workspace "$ROOT/shared" \
    --tmpfs /workspace/mount -- touch /workspace/mount/x
  canary_is_untouched
}

@test "CVE-2021-30465: a destination that is exchanged for a link while sandboxes start leads nowhere" {
  [ "$(id -u)" -ne 0 ] || chown "$WHO" "$PLACE/user"
  for_each race_on_a_destination
}

race_on_parents() {
  fresh_rootfs
  mkdir -p "$ROOT/a" "$ROOT/dev"
  ln -s "$CANARY/dir" "$ROOT/a.link"
  [ "$(id -u)" -ne 0 ] || chown -hR "$WHO" "$ROOT"
  racing "$ROOT/a" "$ROOT/a.link" 60 as "$who" "$PLACE/bin/clawrun" exec --rootfs "$ROOT" --bind "$PLACE/bin:/a/b/c/d" --tmpfs /a/t -- /bin/busybox true
  canary_is_untouched
  ln -s "$CANARY/dir" "$ROOT/dev.link"
  [ "$(id -u)" -ne 0 ] || chown -hR "$WHO" "$ROOT"
  racing "$ROOT/dev" "$ROOT/dev.link" 60 as "$who" "$PLACE/bin/clawrun" exec --rootfs "$ROOT" -- /bin/busybox touch /dev/null
  canary_is_untouched
}

@test "CVE-2024-45310: directories that are made for mounts are never made on the host, also while links change" {
  [ "$(id -u)" -ne 0 ] || chown "$WHO" "$PLACE/user"
  for_each race_on_parents
}

race_on_proc() {
  fresh_rootfs
  ln -s "$CANARY/dir" "$ROOT/proc.link"
  [ "$(id -u)" -ne 0 ] || chown -hR "$WHO" "$ROOT"
  racing "$ROOT/proc" "$ROOT/proc.link" 60 as "$who" "$PLACE/bin/clawrun" exec --rootfs "$ROOT" --time-ns -- /bin/busybox true
  canary_is_untouched
}

@test "CVE-2025-52881: what clawrun writes below /proc goes to a real procfs, also while links change" {
  [ "$(id -u)" -ne 0 ] || chown "$WHO" "$PLACE/user"
  for_each race_on_proc
}

# --- descriptors and directories --------------------------------------------------------------------------------------

working_directories() {
  local fd dir tops
  tops=$(clawrun_exec -- ls / | paste -sd'|')
  for fd in 0 3 4 5 6 7 8 9 10 11 12 16 20 60 61 62 63 64 100 101; do
    for dir in "/proc/self/fd/$fd" "/proc/1/fd/$fd" "/dev/fd/$fd" "/proc/self/task/1/fd/$fd"; do
      # A descriptor of the set-up may be the new root itself, or an empty directory in it; nothing else may be entered.
    same "$(as "$who" "$PLACE/bin/hostile" strange-start "leak=$CANARY/file" -- "$PLACE/bin/clawrun" exec --rootfs host --workdir "$dir" -- ls -A . 2>/dev/null | grep -vxE "$tops" || true)" ''
    done
  done
  for dir in /proc/1/root /proc/1/cwd; do
    same "$(clawrun_exec --workdir "$dir" -- ls -A . 2>/dev/null | grep -vxE "$tops" || true)" ''
  done
  for dir in ../.. relative /tmp/.. ./x ''; do refused 125 workdir clawrun_exec --workdir "$dir" -- true; done
  # Its own root by another name is harmless, and nothing but that.
  [ "$(clawrun_exec --workdir /proc/self/cwd -- ls -A / 2>/dev/null | wc -l)" -lt 20 ]
  same "$(clawrun_exec --workdir /usr/bin -- pwd)" /usr/bin
}

@test "CVE-2024-21626: no working directory through /proc/self/fd" {
  for_each working_directories
}

descriptor_census() {
  local text
  text=$(as "$who" "$PLACE/bin/hostile" strange-start "leak=$CANARY/file" -- "$PLACE/bin/clawrun" exec --rootfs host --bind "$PLACE/bin/hostile:/hostile:ro" -- /hostile descriptors </dev/null | cat)
  same "$text" "0 other
1 other
2 other"
  text=$(as "$who" "$PLACE/bin/hostile" strange-start "leak=$CANARY/file" -- "$PLACE/bin/clawrun" exec --rootfs host --preserve-fd 101 --bind "$PLACE/bin/hostile:/hostile:ro" -- /hostile descriptors </dev/null | cat)
  same "$text" "0 other
1 other
2 other
101 other"
  text=$(as "$who" "$PLACE/bin/hostile" strange-start "leak=$CANARY/file" -- "$PLACE/bin/clawrun" exec --rootfs host --no-init --bind "$PLACE/bin/hostile:/hostile:ro" -- /hostile descriptors </dev/null | cat)
  same "$text" "0 other
1 other
2 other"
  # The leak is there: without clawrun in between it arrives.
  [ "$("$PLACE/bin/hostile" strange-start "leak=$CANARY/file" -- "$PLACE/bin/hostile" descriptors | wc -l)" -gt 300 ]
  refused 125 directory as "$who" "$PLACE/bin/hostile" strange-start "leak=$CANARY/file" -- "$PLACE/bin/clawrun" exec --rootfs host --preserve-fd 100 -- true
}

@test "CVE-2024-21626: of the caller's descriptors only stdio and those named arrive" {
  for_each descriptor_census
}

directories_as_stdio() {
  local got
  refused 125 'is a directory' as "$who" "$PLACE/bin/clawrun" exec --rootfs host -- true </
  got=$({ as "$who" "$PLACE/bin/clawrun" exec --rootfs host -- true 1</ 2>&3 || echo "status $?" >&3; } 3>&1)
  has "$got" 'standard output is a directory'
  got=0
  as "$who" "$PLACE/bin/clawrun" exec --rootfs host -- true 2</ || got=$?
  same "$got" 125
}

@test "CVE-2024-21626: a directory as a standard stream is refused" {
  for_each directories_as_stdio
}

@test "CVE-2024-21626: init holds its two channels and nothing of the host" {
  need_root
  for_each init_census
}

init_census() {
  local marker="census-$who-$$" command init fds
  background clawrun_exec --workspace "$CANARY/dir" -- /hostile sleep "$marker"
  inside_pid "$marker"
  command=$pid
  init=$(ps -o ppid= -p "$command" | tr -d ' ')
  same "$(tr -d '\0' <"/proc/$init/cmdline")" clawrun-init
  fds=$(find "/proc/$init/fd" -type l -printf '%l\n' | sed 's/[0-9]*//g' | sort)
  same "$fds" "anon_inode:[signalfd]
socket:[]"
  # The root and the working directory of both are the sandbox's.
  same "$(stat -Lc %d:%i "/proc/$init/root")" "$(stat -Lc %d:%i "/proc/$command/root")"
  same "$(stat -Lc %d:%i "/proc/$init/cwd")" "$(stat -Lc %d:%i "/proc/$command/root")"
  [ "$(stat -Lc %d:%i "/proc/$init/root")" != "$(stat -Lc %d:%i /)" ]
  same "$(grep CapBnd "/proc/$init/status" | awk '{print $2}')" 0000000000000000
  same "$(grep CapEff "/proc/$init/status" | awk '{print $2}')" 0000000000000000
  same "$(grep -c . "/proc/$init/mountinfo")" "$(grep -c . "/proc/$command/mountinfo")"
  same "$(readlink "/proc/$init/ns/net")" "$(readlink "/proc/$command/ns/net")"
  # Nothing of the host's root is mounted any more.
  lacks "$(awk '{print $5}' "/proc/$command/mountinfo")" "$CANARY"
  end_background
  nobody_with "$marker"
}

# --- kernel interfaces ------------------------------------------------------------------------------------------------

@test "CVE-2020-15257: no abstract socket of clawrun's, and none of the host's within reach with --network host" {
  for_each abstract_sockets
}

abstract_sockets() {
  local name="clawrun-test-$who-$$" pid
  background "$PLACE/bin/hostile" listen-abstract "$name" >"$PLACE/log/listener"
  wait_for grep -q listening "$PLACE/log/listener"
  same "$("$PLACE/bin/hostile" connect-abstract "$name")" 'connect OK'
  same "$(hostile --network host -- connect-abstract "$name")" 'connect EPERM'
  same "$(hostile --network none -- connect-abstract "$name")" 'connect ECONNREFUSED'
  same "$(hostile --network host --landlock off -- connect-abstract "$name")" 'connect OK'
  end_background
  # Whatever is bound while a sandbox runs is not clawrun's.
  background clawrun_exec -- /hostile sleep "abstract-$who-$$"
  inside_pid "abstract-$who-$$"
  lacks "$(cat /proc/net/unix)" '@clawrun'
  end_background
  nobody_with "abstract-$who-$$"
}

@test "CVE-2021-41133 CVE-2022-0185 CVE-2022-0847 CVE-2023-0386 CVE-2026-31414: calls through which kernels were taken over are refused" {
  for_each dangerous_calls
}

dangerous_calls() {
  local text
  text=$(hostile -- attempts)
  answers "$text" unshare-user=EPERM unshare-user-high=EPERM unshare-mount=EPERM unshare-net=EPERM clone-user=EPERM clone-user-high=EPERM \
    clone3=ENOSYS fsopen=EPERM open_tree=EPERM move_mount=EPERM mount_setattr=EPERM bpf=EPERM perf_event_open=EPERM userfaultfd=EPERM \
    userfaultfd-user-mode=EPERM io_uring_setup=EPERM io_uring_enter=EPERM io_uring_register=EPERM fanotify_init=EPERM setns-own-user=EPERM \
    process_vm_readv=EPERM pidfd_getfd=EPERM kcmp=EPERM beyond-the-table=ENOSYS netlink-netfilter=EAFNOSUPPORT netlink-audit=EAFNOSUPPORT \
    personality-read-implies-exec=EPERM personality-no-aslr=EPERM kexec_load=EPERM init_module=EPERM finit_module=EPERM delete_module=EPERM
  [ "$(uname -m)" != x86_64 ] || answers "$text" i386-entry=ENOSYS x32-entry=ENOSYS
  # What harmless programs need is there.
  answers "$text" unshare-files=OK clone-plain=OK personality-ask=OK socket-unix=OK socket-inet=OK netlink-route=OK mknod-fifo=OK
  # These are the filter's answers, not the kernel's.
  text=$(hostile --seccomp unconfined -- attempts clone3 unshare-user io_uring_setup kcmp process_vm_readv fanotify_init)
  answers "$text" clone3=EINVAL unshare-user=OK io_uring_setup=EFAULT kcmp=OK process_vm_readv=OK fanotify_init=OK
}

@test "CVE-2021-43784: no word of a caller's enters the netlink message, whose lengths are fixed" {
  for_each netlink_message
}

netlink_message() {
  # The one request, which brings up the loopback interface, is 32 bytes, written before any word of the caller's is read.
  local sent
  as "$who" strace -qq -f -e trace=sendto -o "$PLACE/log/strace-$who" "$PLACE/bin/clawrun" exec --rootfs host --hostname "$(printf 'n%.0s' {1..60})" --user 4000000000:4000000000 \
    --env "A=$(head -c 70000 /dev/zero | tr '\0' x)" -- true
  sent=$(grep AF_NETLINK "$PLACE/log/strace-$who")
  same "$(printf '%s\n' "$sent" | wc -l)" 1
  has "$sent" 'nlmsg_len=32'
  has "$sent" ' = 32'
}

cgroups() {
  local text
  text=$(hostile -- attempts mount-cgroup-v1 mount-cgroup-v2 unshare-user)
  answers "$text" mount-cgroup-v1=EPERM mount-cgroup-v2=EPERM unshare-user=EPERM
  same "$(clawrun_exec -- sh -c 'find / -name release_agent -o -name cgroup.procs 2>/dev/null | head -1')" ''
  # shellcheck disable=SC2016 # for the shell inside
  clawrun_exec -- sh -c 'test ! -e /sys/fs/cgroup'
  lacks "$(clawrun_exec -- cat /proc/self/mountinfo)" ' cgroup'
  # Its own cgroup namespace: the host's names are not seen.
  same "$(clawrun_exec -- sh -c "cut -d: -f3 /proc/self/cgroup | sort -u")" /
}

@test "CVE-2022-0492 CVE-2023-25809: no cgroup file system inside, mounted or mountable, and no name of the host's cgroups" {
  for_each cgroups
}

sysctl_injection() {
  local before
  before=$(cat /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname)
  refused 125 sysctl clawrun_exec --sysctl kernel.shm_rmid_forced=1+kernel.core_pattern=x -- true
  refused 125 hostname clawrun_exec --hostname 'a+kernel.core_pattern=|/x' -- true
  refused 125 hostname clawrun_exec --hostname $'a\nb' -- true
  refused 125 '' clawrun_exec --hostname ../../kernel/core_pattern -- true
  same "$(cat /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname)" "$before"
}

@test "CVE-2022-0811: no setting of clawrun's reaches a sysctl, by a plus, a newline or a path" {
  for_each sysctl_injection
}

handles() {
  local text
  text=$(hostile -- attempts name_to_handle_at name_to_handle_at-nsfs open_by_handle_at open_by_handle_at-nsfs)
  answers "$text" name_to_handle_at=EPERM name_to_handle_at-nsfs=EPERM open_by_handle_at=EPERM open_by_handle_at-nsfs=EPERM
  has "$(hostile --seccomp unconfined -- attempts name_to_handle_at)" 'name_to_handle_at OK'
}

@test "CVE-2026-43391 CVE-2026-43403: file handles, those of namespaces too, are refused" {
  for_each handles
}

shocker() {
  local text
  # Also with the capability that made it work, and without the filter: it counts in the sandbox's own user namespace only.
  answers "$(hostile --user root --cap-add DAC_READ_SEARCH -- attempts open_by_handle_at)" open_by_handle_at=EPERM
  answers "$(hostile --user root --cap-add DAC_READ_SEARCH --seccomp unconfined --landlock off --id-mapping single -- attempts open_by_handle_at)" open_by_handle_at=EPERM
}

@test "shocker: a file handle opens nothing of the host, with CAP_DAC_READ_SEARCH neither" {
  for_each shocker
}

keyrings() {
  answers "$(hostile -- attempts keyctl-session keyctl-user add_key request_key)" keyctl-session=EPERM keyctl-user=EPERM add_key=EPERM request_key=EPERM
  has "$(hostile --seccomp unconfined -- attempts add_key)" 'add_key OK'
  same "$(clawrun_exec -- cat /proc/keys)" ''
  # A session keyring of its own: a key of the caller's session is not found even where the calls are allowed.
  as "$who" python3 - "$PLACE/bin/clawrun" "$PLACE/bin/hostile" <<'PYTHON'
import ctypes, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
nr = {"x86_64": (248, 249, 250), "aarch64": (217, 218, 219)}[__import__("platform").machine()]
assert libc.syscall(nr[2], 1, None) > 0, "no session keyring"
assert libc.syscall(nr[0], b"user", b"clawrun-test-secret", b"x", 1, -3) > 0, "no key"
def ask(*command):
    return subprocess.run([*command, "attempts", "request_key"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
assert ask(sys.argv[2]) == "request_key OK", "outside the key is found"
inside = ask(sys.argv[1], "exec", "--rootfs", "host", "--seccomp", "unconfined", "--bind", sys.argv[2] + ":/hostile:ro", "--", "/hostile")
assert inside == "request_key ENOKEY", inside
PYTHON
}

@test "keyrings: refused by the filter, and a session keyring of its own beneath" {
  for_each keyrings
}

gadgets() {
  local before text
  before=$(cat /proc/sys/kernel/{core_pattern,modprobe,hotplug} 2>/dev/null; cat /sys/kernel/uevent_helper 2>/dev/null || true)
  # shellcheck disable=SC2016 # for the shell inside
  text=$(clawrun_exec --user root -- sh -c 'for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/kernel/hotplug /proc/sys/fs/binfmt_misc/register /sys/kernel/uevent_helper /sys/kernel/mm/transparent_hugepage/enabled /proc/sysrq-trigger /proc/sys/vm/drop_caches; do (echo "|/bin/true" >$f) 2>/dev/null && echo "wrote $f"; done; true')
  same "$text" ''
  same "$(cat /proc/sys/kernel/{core_pattern,modprobe,hotplug} 2>/dev/null; cat /sys/kernel/uevent_helper 2>/dev/null || true)" "$before"
  clawrun_exec -- test ! -e /sys/kernel
}

@test "core_pattern uevent_helper, binfmt_misc, modprobe: files by which the kernel runs programs cannot be written" {
  for_each gadgets
}

# --- at the start -----------------------------------------------------------------------------------------------------

bomb_at_setup() {
  # The limits of the caller bite while clawrun sets up: an error that says so, not half a sandbox.
  local got=0 text
  text=$(as "$who" prlimit --as=20000000 "$PLACE/bin/clawrun" exec --rootfs host -- true 2>&1) || got=$?
  case $got in 0 | 125) ;; *) fail "status $got: $text" ;; esac
  got=0
  text=$(as "$who" prlimit --fsize=0 "$PLACE/bin/clawrun" exec --rootfs host -- true 2>&1) || got=$?
  case $got in 0 | 125) ;; *) fail "status $got: $text" ;; esac
}

@test "bomb-at-setup: limits on memory and files that bite during the set-up end in one clean error" {
  for_each bomb_at_setup
}

@test "bomb-at-setup: a limit on processes that bites during the set-up ends in one clean error" {
  need_root
  # Root is not bound by it; the user is.
  refused 125 'processes' as user prlimit --nproc=1 "$PLACE/bin/clawrun" exec --rootfs host -- true
  as user prlimit --nproc=50 "$PLACE/bin/clawrun" exec --rootfs host -- true
}

@test "crun-2262: a step that fails is an error, and no other root is used in its place" {
  for_each no_fallback
}

no_fallback() {
  fresh_rootfs
  rmdir "$ROOT/tmp"
  echo file >"$ROOT/tmp"
  in_rootfs -- /bin/busybox ls /
  has "$outcome" '125 '
  has "$outcome" '/tmp'
  in_rootfs --bind "$PLACE/bin/hostile:/etc" -- /bin/busybox ls /
  has "$outcome" '125 '
}

@test "bwrap-774: without openat2 every link of a root is still resolved inside it" {
  [ -x "$CLAWRUN_BUILD/tests/fault/deny" ] || skip 'the program that refuses system calls is not built'
  cp "$CLAWRUN_BUILD/tests/fault/deny" "$PLACE/bin/deny"
  for_each without_openat2
}

without_openat2() {
  local name target before
  for name in tmp workspace dev proc bind; do
    for target in "$CANARY/dir" "../../../../../../../../../..$CANARY/dir" /proc/self/root loop; do
      fresh_rootfs
      rm -rf "${ROOT:?}/$name"
      ln -s "$target" "$ROOT/$name"
      ln -s loop "$ROOT/loop"
      before=$(listing "$ROOT")
      as "$who" "$PLACE/bin/deny" openat2 -- "$PLACE/bin/clawrun" exec --rootfs "$ROOT" --bind "$PLACE/bin:/bind/made" -- /bin/busybox touch /tmp/x >"$PLACE/log/out" 2>&1 || true
      same "$(listing "$ROOT")" "$before"
      canary_is_untouched
    done
  done
  fresh_rootfs
  as "$who" "$PLACE/bin/deny" openat2 -- "$PLACE/bin/clawrun" exec --rootfs "$ROOT" -- /bin/busybox touch /tmp/x
}

@test "bwrap-801: absolute links that lead inside work, such as /var/run" {
  for_each links_that_work
}

links_that_work() {
  fresh_rootfs
  mkdir -p "$ROOT/run/a" "$ROOT/var"
  ln -s /run "$ROOT/var/run"
  in_rootfs --bind "$PLACE/bin:/var/run/a" -- /bin/busybox test -e /run/a/hostile
  has "$outcome" '0 '
}

@test "tend-1279: parents that may be passed but not read (0711) are no obstacle" {
  for_each closed_parents
}

closed_parents() {
  local dir=$PLACE/user/closed-$who
  rm -rf "$dir"
  mkdir -p "$dir/in/side"
  echo there >"$dir/in/side/file"
  chmod 0711 "$dir" "$dir/in"
  same "$(clawrun_exec --bind "$dir/in/side:/data:ro" -- cat /data/file)" there
  fresh_rootfs
  mkdir -p "$ROOT/closed/point"
  chmod 0711 "$ROOT/closed"
  in_rootfs --bind "$dir/in/side:/closed/point" -- /bin/busybox cat /closed/point/file
  same "$outcome" '0 there'
  rm -rf "$dir"
}

@test "CVE-2022-1227: ps runs nothing of the container" {
  skip 'concerns the verb ps: exec starts nothing of the root but the command'
}

@test "pid-reuse: kill and exec by id reach no stranger" {
  skip 'concerns the verbs kill and exec ID: exec holds its only process by pidfd from the clone on'
}
