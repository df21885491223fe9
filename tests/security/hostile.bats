#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154  # the shell inside expands; bats runs tests in subshells; $who and $PLACE come from helpers
# What a program does that wants to harm the machine, its neighbours or its way out.
load helper

teardown() { end_background; }

# --- too much of everything -------------------------------------------------------------------------------------------

fork_bomb() {
  local marker="bomb-$who-$$" got=0 started text
  started=$(date +%s)
  clawrun_exec --nproc 100 --timeout 1500ms --grace 0ms -- /hostile fork-bomb "$marker" >"$PLACE/log/bomb-$who" 2>/dev/null &
  echo $! >>"$BATS_TEST_TMPDIR/background"
  wait_for grep -q processes "$PLACE/log/bomb-$who"
  # The host goes on, and as the same user.
  as "$who" /bin/true
  clawrun_exec -- true
  wait $! || got=$?
  same "$got" 124
  [ $(($(date +%s) - started)) -lt 6 ]
  text=$(cat "$PLACE/log/bomb-$who")
  [ "${text#processes }" -le 101 ]
  [ "${text#processes }" -ge 90 ]
  nobody_with "$marker"
}
@test "fork bomb: stays at --nproc, the host still forks, and the timeout ends all of it" { for_each fork_bomb; }

default_nproc() { [ "$(clawrun_exec -- sh -c 'ulimit -u' 2>/dev/null || clawrun_exec -- bash -c 'ulimit -u')" -le 512 ]; }
@test "fork bomb: there is a limit by default" { for_each default_nproc; }

memory_bomb() {
  local text
  text=$(hostile --address-space 256m -- memory-bomb)
  has "$text" ENOMEM
  [ "$(printf '%s' "$text" | tr -dc 0-9)" -le 268435456 ]
  [ "$(printf '%s' "$text" | tr -dc 0-9)" -ge 100000000 ]
}
@test "memory bomb: stays at --address-space" { for_each memory_bomb; }

places() {
  # Every place, whatever the caller is: no more than these.
  same "$(hostile -- writable-places | paste -sd' ')" '/dev/shm/ /tmp/ /workspace/'
  same "$(hostile --tmpfs /more -- writable-places | paste -sd' ')" '/dev/shm/ /more/ /tmp/ /workspace/'
}
@test "writable places are the work directory, /tmp and /dev/shm" { for_each places; }

disk_fill() {
  local text place amount
  text=$(hostile --tmp-size 8m --tmpfs /more:4m -- fill bytes /tmp /dev/shm /workspace /more)
  same "$(printf '%s\n' "$text" | grep -c ENOSPC)" 4
  while read -r place amount _; do
    [ "$amount" -ge 4000000 ] || fail "$place: $amount"
    [ "$amount" -le 8388608 ] || fail "$place: $amount"
  done <<<"$text"
  [ "$(printf '%s\n' "$text" | awk '$1 == "/more" {print $2}')" -le 4194304 ]
  text=$(hostile --tmp-size 8m --tmpfs /more:4m -- fill inodes /tmp /dev/shm /workspace /more)
  same "$(printf '%s\n' "$text" | grep -c ENOSPC)" 4
  while read -r place amount _; do
    [ "$amount" -ge 200 ] || fail "$place: $amount"
    [ "$amount" -le 2048 ] || fail "$place: $amount"
  done <<<"$text"
}
@test "disk fill: every writable place has a size in bytes and in inodes" { for_each disk_fill; }

disk_fill_writable() {
  local text
  text=$(clawrun_exec --writable --tmp-size 8m --timeout 30s -- sh -c 'head -c 100m /dev/zero >/fill; stat -c %s /fill' 2>&1 || true)
  has "$text" 'No space left'
  [ "$(printf '%s\n' "$text" | tail -1)" -le 8388608 ]
  # And the file size limit, where one is asked for.
  text=$(clawrun_exec --fsize 1m -- sh -c 'trap "" XFSZ; head -c 2m /dev/zero >/tmp/x; stat -c %s /tmp/x' 2>/dev/null)
  same "$text" 1048576
}
@test "disk fill: the layer of --writable has a size too, and --fsize holds" { for_each disk_fill_writable; }

# --- destruction ------------------------------------------------------------------------------------------------------

remove_everything() {
  local keep=$PLACE/user/keep-$who before hosts
  rm -rf "$keep"
  mkdir -p "$keep"/{ro,ws}
  echo precious >"$keep/ro/file"
  [ "$(id -u)" -ne 0 ] || chown -R "$WHO" "$keep"
  before=$(find "$keep/ro" -printf '%p %s %T@\n')
  hosts=$(find /usr/bin /etc | wc -l)
  clawrun_exec --timeout 60s --workspace "$keep/ro:ro" --bind "$keep/ro:/data:ro" -- sh -c 'rm -rf --no-preserve-root / /data /workspace 2>/dev/null; true'
  clawrun_exec --timeout 60s --user root --writable --workspace "$keep/ws" --bind "$keep/ro:/data:ro" -- sh -c 'rm -rf --no-preserve-root /etc /usr/local /data 2>/dev/null; true'
  same "$(find "$keep/ro" -printf '%p %s %T@\n')" "$before"
  same "$(find /usr/bin /etc | wc -l)" "$hosts"
  [ -d "$keep/ws" ]
  # What was given for writing is given: the test would see a removal.
  touch "$keep/ws/file"
  [ "$(id -u)" -ne 0 ] || chown "$WHO" "$keep" "$keep/ws" "$keep/ws/file"
  clawrun_exec --workspace "$keep/ws" -- rm file
  [ ! -e "$keep/ws/file" ]
  rm -rf "$keep"
}
@test "rm -rf /: nothing of the host goes" { for_each remove_everything; }

write_everywhere() {
  local before after text
  before=$(find /proc/sys -type f ! -path '*/net/*' -readable -exec grep -HsE . {} + 2>/dev/null | grep -vE 'random|pid|nr|inode|state|stat|dirty|/fs/(file|dentry|aio|quota)|sched_domain|cad_pid|kernel/(pty|ns_last|keys)|perf_event_max_sample|perf_cpu' | sort)
  text=$(hostile -- write-everywhere /proc /sys)
  has "$text" tried
  # Pressure files take a request for a notification that lives as long as the descriptor; nothing is stored.
  same "$(printf '%s\n' "$text" | grep -vE '^(tried .*|OPENED /proc/pressure/(io|cpu|memory|irq))$' || true)" ''
  text=$(hostile --user root --cap-add SYS_ADMIN --cap-add NET_ADMIN --id-mapping single -- write-everywhere /proc /sys)
  same "$(printf '%s\n' "$text" | grep -vE '^(tried .*|OPENED /proc/pressure/(io|cpu|memory|irq))$' || true)" ''
  after=$(find /proc/sys -type f ! -path '*/net/*' -readable -exec grep -HsE . {} + 2>/dev/null | grep -vE 'random|pid|nr|inode|state|stat|dirty|/fs/(file|dentry|aio|quota)|sched_domain|cad_pid|kernel/(pty|ns_last|keys)|perf_event_max_sample|perf_cpu' | sort)
  same "$after" "$before"
  [ "$(printf '%s\n' "$before" | wc -l)" -gt 100 ]
}
@test "writes to every file below /proc and /sys change nothing on the host" { for_each write_everywhere; }

system_calls() {
  local text
  text=$(hostile -- attempts)
  answers "$text" mount-tmpfs=EPERM mount-bind=EPERM mount-proc=EPERM remount-root=EPERM remount-usr=EPERM umount-proc-sys=EPERM umount-root=EPERM \
    pivot_root=EPERM chroot=EPERM setns-own-user=EPERM setns-pid1-mnt=EACCES mknod-char=EPERM mknod-block=EPERM chown-root=EINVAL setuid-0=EINVAL \
    setgid-0=EINVAL setgroups-0=EPERM reboot=EPERM swapon=EPERM acct=EPERM syslog-read=EPERM syslog-size=EPERM sethostname=EPERM \
    settimeofday=EPERM clock_settime=EPERM nofile-raise=EPERM socket-raw=EPERM socket-raw6=EPERM socket-packet=EAFNOSUPPORT \
    socket-alg=EAFNOSUPPORT socket-alg-high=EAFNOSUPPORT socket-vsock=EAFNOSUPPORT socket-rxrpc=EAFNOSUPPORT socket-key=EAFNOSUPPORT \
    socket-xdp=EAFNOSUPPORT socket-tipc=EAFNOSUPPORT socket-bluetooth=EAFNOSUPPORT socket-can=EAFNOSUPPORT netlink-uevent=EAFNOSUPPORT
  # A powerless root: the same.
  answers "$(hostile --user root -- attempts)" mount-tmpfs=EPERM remount-usr=EPERM chroot=EPERM unshare-user=EPERM mknod-char=EPERM syslog-read=EPERM reboot=EPERM \
    sethostname=EPERM socket-raw=EPERM socket-packet=EAFNOSUPPORT
  # Where a power was asked for it is there: the answers above are not just any failure.
  answers "$(hostile --cap-add SYS_CHROOT -- attempts chroot)" chroot=OK
  answers "$(hostile --cap-add NET_RAW -- attempts socket-raw)" socket-raw=OK
  answers "$(hostile --cap-add SYS_ADMIN --seccomp unconfined --landlock off -- attempts mount-tmpfs)" mount-tmpfs=OK
}
@test "mounts, roots, namespaces, devices, identities, clocks and sockets are refused" { for_each system_calls; }

capability_inside_only() {
  local dir=$PLACE/user/outside-$who mounts text
  rm -rf "$dir"
  mkdir -p "$dir"
  echo original >"$dir/file"
  chmod -R a+rX "$dir"
  mounts=$(cat /proc/self/mountinfo)
  # The filter refuses mounts also to CAP_SYS_ADMIN, and Landlock does where the filter is off.
  answers "$(hostile --cap-add SYS_ADMIN -- attempts mount-tmpfs remount-usr fsopen unshare-mount)" mount-tmpfs=EPERM remount-usr=EPERM fsopen=EPERM unshare-mount=EPERM
  answers "$(hostile --cap-add SYS_ADMIN --seccomp unconfined -- attempts mount-tmpfs remount-usr pivot_root)" mount-tmpfs=EPERM remount-usr=EPERM pivot_root=EPERM
  # All walls down but the namespaces: its own mounts are its own business, the host's files and devices are not.
  text=$(hostile --user root --cap-add SYS_ADMIN --cap-add MKNOD --cap-add SYS_MODULE --cap-add SYS_RAWIO --cap-add SYS_BOOT --cap-add SYS_TIME --cap-add SYSLOG \
    --seccomp unconfined --landlock off --id-mapping single -- attempts mknod-char mknod-block bpf swapon reboot acct syslog-read settimeofday open_by_handle_at userfaultfd)
  answers "$text" mknod-char=EPERM mknod-block=EPERM bpf=EPERM swapon=EPERM acct=EPERM syslog-read=EPERM open_by_handle_at=EPERM
  lacks "$text" 'reboot OK'
  lacks "$text" 'settimeofday OK'
  clawrun_exec --user root --cap-add DAC_OVERRIDE --cap-add CHOWN --cap-add FOWNER --cap-add SYS_ADMIN --seccomp unconfined --landlock off --id-mapping single \
    -- sh -c 'mount -o remount,rw,bind /usr; echo x >/usr/bin/env; touch /usr/local/made; chown 0 /usr/bin/env; true' 2>/dev/null
  [ ! -e /usr/local/made ]
  [ "$(head -c 4 /usr/bin/env | tail -c 3)" = ELF ]
  same "$(cat /proc/self/mountinfo)" "$mounts"
  same "$(cat "$dir/file")" original
  rm -rf "$dir"
}
@test "--cap-add gives nothing outside" { for_each capability_inside_only; }

setuid_program() {
  local dir=$PLACE/suid
  mkdir -p "$dir"
  cp /usr/bin/id "$dir/id"
  cp "$PLACE/bin/hostile" "$dir/hostile"
  chmod 6755 "$dir"/*
  # Outside it does give the identity of its owner.
  same "$(as user "$dir/id" -u)" 0
  same "$(clawrun_exec --bind "$dir:/suid:ro" -- /suid/id -u)" 1000
  same "$(clawrun_exec --bind "$dir:/suid:ro" -- /suid/id -g)" 1000
  same "$(clawrun_exec --bind "$dir:/suid:ro" --seccomp unconfined --landlock off -- /suid/id -u)" 1000
  same "$(clawrun_exec --user root --bind "$dir:/suid:ro" -- grep CapEff /proc/self/status | awk '{print $2}')" 0000000000000000
  # The host's own.
  has "$(clawrun_exec -- sh -c 'su -c id 2>&1; mount 2>/dev/null | grep -vc nosuid; true' </dev/null)" 0
  same "$(clawrun_exec -- sh -c 'grep -vc nosuid /proc/self/mounts' || true)" 0
}
@test "setuid programs give nothing, bound ones and the host's" {
  need_root
  for_each setuid_program
}

# --- other processes --------------------------------------------------------------------------------------------------

signals() {
  local text stranger pid
  background sleep 1000
  stranger=$!
  text=$(hostile -- signal-everyone)
  has "$text" 'visible 2, pid 1 alive'
  text=$(hostile --landlock off --user root --cap-add KILL --id-mapping single -- signal-everyone)
  has "$text" 'pid 1 alive'
  # kill -9 -1 from a shell leaves the supervisor to report how it ended.
  clawrun_exec --timeout 20s -- sh -c 'sleep 100 & kill -9 -1; kill -9 1; kill 1; echo alive' | grep -qx alive
  kill -0 "$stranger"
}
@test "signals to every pid, each of the 64, and kill -9 -1: init and the host stay" { for_each signals; }

init_under_attack() {
  local got=0
  # Lowering init's limits is possible for the same uid (prlimit(2)); it can end the sandbox earlier, and nothing else.
  clawrun_exec --timeout 5s --grace 0ms -- sh -c 'prlimit --pid 1 --cpu=1 --nofile=1 2>/dev/null; exit 3' || got=$?
  case $got in 3 | 125 | 137 | 152) ;; *) fail "status $got" ;; esac
}
@test "limits of init that the command lowers harm only its own sandbox" { for_each init_under_attack; }

traces() {
  local text
  text=$(hostile -- trace-everyone)
  has "$text" 'pid 1 EPERM EPERM'
  has "$text" 'own-child OK'
  text=$(hostile --user root --cap-add SYS_PTRACE --seccomp unconfined --landlock off --id-mapping single -- trace-everyone)
  has "$text" 'own-child OK'
}
@test "ptrace of every visible pid reaches no process but its own" { for_each traces; }

two_sandboxes() {
  local pid first second
  who=root
  background clawrun_exec -- /hostile sleep "first-$$"
  inside_pid "first-$$"
  first=$pid
  background clawrun_exec -- /hostile sleep "second-$$"
  inside_pid "second-$$"
  second=$pid
  [ "$(stat -c %u "/proc/$first")" -ge 1879048192 ]
  [ "$(stat -c %u "/proc/$second")" -ge 1879048192 ]
  [ "$(stat -c %u "/proc/$first")" -ne "$(stat -c %u "/proc/$second")" ]
  [ "$(stat -c %g "/proc/$first")" -ne "$(stat -c %g "/proc/$second")" ]
  # Even for a process that sees the other's pid, with the sandbox's ids and nothing else.
  refused 1 'not permitted' setpriv --reuid="$(stat -c %u "/proc/$first")" --regid="$(stat -c %g "/proc/$first")" --clear-groups --inh-caps=-all --bounding-set=-all kill -KILL "$second"
  setpriv --reuid="$(stat -c %u "/proc/$first")" --regid="$(stat -c %g "/proc/$first")" --clear-groups --inh-caps=-all --bounding-set=-all kill -CONT "$first"
}
@test "two sandboxes of root's have host uids of their own and cannot signal each other" {
  need_root
  two_sandboxes
}

all_threads() {
  local text
  text=$(hostile -- threads)
  same "$(printf '%s\n' "$text" | grep -c 'EPERM EPERM confined')" 4
  text=$(hostile --seccomp unconfined -- threads)
  same "$(printf '%s\n' "$text" | grep -c FREE)" 4
}
@test "no second thread is less confined than the first" { for_each all_threads; }

# --- looking around ---------------------------------------------------------------------------------------------------

environment() {
  local secret=clawrun-secret-7261 text
  text=$(as "$who" env "TOKEN=$secret" "$PLACE/bin/clawrun" exec --rootfs host --bind "$PLACE/bin/hostile:/hostile:ro" -- /hostile search-proc "$(printf %s "$secret" | rev)")
  lacks "$text" FOUND
  text=$(as "$who" env "TOKEN=$secret" "$PLACE/bin/clawrun" exec --rootfs host --user root --cap-add SYS_PTRACE --cap-add DAC_OVERRIDE --id-mapping single --seccomp unconfined --landlock off \
    --bind "$PLACE/bin/hostile:/hostile:ro" -- /hostile search-proc "$(printf %s "$secret" | rev)")
  lacks "$text" FOUND
  # Where it is passed on it is found.
  text=$(as "$who" env "TOKEN=$secret" "$PLACE/bin/clawrun" exec --rootfs host --env TOKEN --bind "$PLACE/bin/hostile:/hostile:ro" -- /hostile search-proc "$(printf %s "$secret" | rev)")
  has "$text" 'FOUND /proc/'
  same "$(clawrun_exec -- env | grep -vE '^(PATH|HOME|LANG)=' || true)" ''
}
@test "the caller's environment is nowhere inside" { for_each environment; }

host_places() {
  local text path
  for path in /home /root /var /run /srv /mnt /media /boot /opt /sys /var/run/docker.sock /run/docker.sock /run/dbus /etc/shadow /etc/machine-id /etc/ssh /etc/gshadow /dev/mem /dev/kmsg /dev/sda /dev/vda /dev/kvm /dev/fuse /dev/net/tun /dev/console /oldroot /.dockerenv; do
    lacks "$(hostile --user root -- look-at "$path")" ' OK'
  done
  has "$(hostile -- look-at /usr /etc/passwd)" '/usr OK
/etc/passwd OK'
  same "$(clawrun_exec -- sh -c 'cut -d: -f1 /etc/passwd' | sort | paste -sd' ')" 'nobody root sandbox'
  # No socket of anybody's, anywhere.
  same "$(clawrun_exec --timeout 60s -- find / -type s 2>/dev/null)" ''
  same "$(clawrun_exec -- sh -c 'ls /dev | sort | paste -sd" "')" 'fd full null ptmx pts random shm stderr stdin stdout tty urandom zero'
}
@test "home, /root, /var, /run, sockets, devices and secrets of /etc are not there" { for_each host_places; }

kernel_log() {
  answers "$(hostile -- attempts syslog-read syslog-size)" syslog-read=EPERM syslog-size=EPERM
  answers "$(hostile --cap-add SYSLOG --seccomp unconfined -- attempts syslog-read)" syslog-read=EPERM
  lacks "$(hostile --user root -- look-at /proc/kmsg /dev/kmsg /sys/fs/pstore)" ' OK'
  lacks "$(clawrun_exec -- dmesg 2>/dev/null || true)" Linux
}
@test "the kernel log cannot be read" { for_each kernel_log; }

names() {
  local host
  host=$(uname -n)
  same "$(clawrun_exec -- uname -n)" sandbox
  same "$(clawrun_exec --hostname other -- uname -n)" other
  same "$(clawrun_exec -- cat /etc/hostname /proc/sys/kernel/hostname | sort -u)" sandbox
  same "$(clawrun_exec -- sh -c umask)" 0022
  same "$(as "$who" sh -c "umask 077; '$PLACE/bin/clawrun' exec --rootfs host -- sh -c umask")" 0022
  same "$(clawrun_exec -- sh -c 'ulimit -c; ulimit -Hc' | sort -u)" 0
  same "$(clawrun_exec -- sh -c 'ls -A /proc | grep -c "^[0-9]*$"')" 4
  [ "$host" = "$(uname -n)" ]
}
@test "the hostname is hidden, the umask is 022, core dumps are off" { for_each names; }

core_dumps() {
  local dir=$PLACE/user/core-$who got=0
  rm -rf "$dir"
  mkdir -m 777 "$dir"
  clawrun_exec --workspace "$dir" -- sh -c 'ulimit -c unlimited 2>/dev/null; kill -SEGV $$' || got=$?
  same "$got" 139
  same "$(ls -A "$dir")" ''
  rm -rf "$dir"
}
@test "a crash leaves no core" { for_each core_dumps; }

network() {
  # Loopback alone, and up; what listens on the host's is not reached.
  local port
  rm -f "$PLACE/log/port"
  python3 -c 'import socket,time,sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(30)' >"$PLACE/log/port" 3>&- &
  echo $! >>"$BATS_TEST_TMPDIR/background"
  wait_for test -s "$PLACE/log/port"
  port=$(cat "$PLACE/log/port")
  same "$(clawrun_exec -- sh -c 'tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "')" lo
  same "$(clawrun_exec -- python3 -c "import socket; s = socket.socket(); print(s.connect_ex(('127.0.0.1', $port)))")" 111
  same "$(clawrun_exec --network host -- python3 -c "import socket; s = socket.socket(); print(s.connect_ex(('127.0.0.1', $port)))")" 0
  same "$(clawrun_exec -- python3 -c "import socket; s = socket.socket(); print(s.connect_ex(('192.0.2.1', 80)))")" 101
}
@test "network none is a loopback interface of its own" { for_each network; }

workspace_owner() {
  local dir=$PLACE/user/owned
  who=root
  rm -rf "$dir"
  install -d -o "$WHO" -g "$WHO" -m 700 "$dir"
  echo mine | install -o "$WHO" -g "$WHO" -m 600 /dev/stdin "$dir/mine"
  install -o root -g root -m 600 /dev/null "$dir/roots"
  clawrun_exec --workspace "$dir" -- sh -c 'cat mine && echo new >new && mkdir d && echo x >d/y && ! cat roots 2>/dev/null && ! (echo x >>roots) 2>/dev/null && stat -c %u new >uid'
  same "$(cat "$dir/uid")" 1000
  same "$(stat -c %U:%G "$dir/new" "$dir/d" "$dir/d/y" | sort -u)" "$WHO:$WHO"
  same "$(stat -c %s "$dir/roots")" 0
  # What may only be read is only read.
  clawrun_exec --workspace "$dir:ro" -- sh -c '! (echo x >>mine) 2>/dev/null; ! rm new 2>/dev/null'
  same "$(cat "$dir/mine")" mine
  rm -rf "$dir"
}
@test "files written to a workspace by root's sandbox belong to the workspace's owner, and other people's stay theirs" {
  need_root
  workspace_owner
}

set_id_files() {
  local dir=$PLACE/user/set-id-$who name names='chmod-suid chmod-sgid fchmod-suid fchmodat-suid fchmodat2-suid open-suid openat-sgid openat-tmpfile-suid openat2-suid mknod-suid'
  local option text
  rm -rf "$dir"
  mkdir "$dir"
  # Of root's in root's case, which is the worst.
  cp /usr/bin/true "$dir/program"
  [ "$who" = root ] || [ "$(id -u)" -ne 0 ] || chown -R "$WHO" "$dir"
  for option in --env=A=b --seccomp=unconfined --user=root '--bind=/usr:/more' --no-init --seccomp=docker-compatible; do
    # shellcheck disable=SC2086 # words
    text=$(hostile "$option" --workspace "$dir" -- attempts $names chmod-plain open-existing)
    for name in $names; do
      lacks "$text" "$name OK"
      has "$text" "$name E"
    done
    answers "$text" chmod-plain=OK open-existing=OK
    # A ring would make files past the filter.
    lacks "$(hostile "$option" --workspace "$dir" -- attempts io_uring_setup)" EFAULT
    same "$(find "$dir" -perm /6000)" ''
    find "$dir" -name 'new-*' -delete
  done
  # Where nothing stays on the host they may be made, and mean nothing.
  has "$(clawrun_exec -- sh -c 'cp /usr/bin/true program; chmod 4755 program; stat -c %a program')" 4755
  rm -rf "$dir"
}
@test "no set-user-ID or set-group-ID program can be left in a directory of the host" { for_each set_id_files; }

# --- not dying --------------------------------------------------------------------------------------------------------

refuse_to_die() {
  local how=$1 marker="undead-$1-$who-$$" got=0 started
  started=$(date +%s%3N)
  clawrun_exec --timeout 250ms --grace 100ms -- /hostile refuse-to-die "$how" "$marker" >"$PLACE/log/undead-$who" 2>/dev/null || got=$?
  same "$(sort -u "$PLACE/log/undead-$who")" ready
  case $how in
    orphan) same "$got" 0 ;;
    *) same "$got" 124 ;;
  esac
  [ $(($(date +%s%3N) - started)) -lt 3000 ]
  nobody_with "$marker"
}
@test "escaping the timeout: ignoring every signal" { for_each refuse_to_die ignore; }
@test "escaping the timeout: blocking every signal" { for_each refuse_to_die block; }
@test "escaping the timeout: setsid" { for_each refuse_to_die setsid; }
@test "escaping the timeout: double fork" { for_each refuse_to_die double-fork; }
@test "escaping the timeout: SIGSTOP to itself" { for_each refuse_to_die stop-self; }
@test "escaping the timeout: SIGSTOP to its parent, which is init" { for_each refuse_to_die stop-parent; }
@test "outliving the command: an orphan in a session of its own dies with it" { for_each refuse_to_die orphan; }

without_init() {
  local how got marker
  for how in ignore block setsid double-fork stop-self; do
    got=0
    marker="noinit-$how-$who-$$"
    clawrun_exec --no-init --timeout 250ms --grace 100ms -- /hostile refuse-to-die "$how" "$marker" >/dev/null 2>&1 || got=$?
    same "$got" 124
    nobody_with "$marker"
  done
  # The parent-death signal cannot be switched off by the command.
  marker="pdeath-$who-$$"
  background clawrun_exec --no-init -- python3 -c "import ctypes,time; print(ctypes.CDLL(None).prctl(1, 0, 0, 0, 0), flush=True); time.sleep(1000) # $marker"
  wait_for pgrep -f "^python3.*$marker"
  sleep 0.2
  end_background
  nobody_with "$marker"
}
@test "escaping the timeout without init" { for_each without_init; }
