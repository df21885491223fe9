#!/usr/bin/env bats
# `exec --emit-bundle`: the same command in the same sandbox under exec, under `clawrun run`, and under the runc and crun of this
# machine, as root and as an ordinary user. What differs is in EXPLAINED, or the test fails.
# shellcheck disable=SC2016,SC2030,SC2031,SC2086 # what is in single quotes is for shells of the tests; each test has variables of its own; AS is words

bats_require_minimum_version 1.5.0

# Made the same before the comparison: what config.json has no words for, and what runtimes do in ways of their own.
EXPLAINED='
  s,^/ ro\S*$,/ ro,                       # the mount of the root has no options in config.json
  s,^(/dev/(null|zero|full|random|urandom|tty)) .*,\1, # devices: binds of the host s nodes, with flags of the runtime s
  s,^(/proc/[a-z_]+) (ro|rw)\S*$,\1,       # masked and read-only paths likewise; that they are so is looked at besides
  /^core$/d                               # crun: a link /dev/core that the specification does not name
'
# An entry of a root directory is a mount of its own in a bundle.
ENTRIES='/^\/(bin|data|etc|usr) ro,nosuid,nodev$/d'


PROBE='
  id -u; id -g; id -G; pwd; umask; hostname; env | sort
  grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/self/status
  cut -d" " -f5,6 /proc/self/mountinfo | sed "s/,relatime//; s/,idmapped//" | sort
  cat /proc/self/limits; grep -c : /proc/net/dev
  ls /; ls /dev; ls -ldn /tmp /dev/shm /workspace | cut -c1-10,12- | while read -r m l u g rest; do echo "$m $u $g"; done
  for file in /x /etc/x /usr/x /dev/x /proc/sys/x /proc/sys/kernel/hostname; do (: >$file) 2>/dev/null && echo "wrote $file"; done
  for file in /tmp/x /dev/shm/x /workspace/x; do (: >$file) 2>/dev/null && echo "wrote $file"; done
  for file in /proc/cmdline /proc/interrupts /proc/keys /proc/timer_list; do head -c1 $file 2>/dev/null | wc -c; done
  chmod 4755 /workspace/x 2>&1 | tail -c 24
  cat </dev/null; echo done; exit 7'

setup_file() {
  : "${CLAWRUN:?set CLAWRUN to the clawrun binary under test}"
  command -v jq >/dev/null || { echo "needs jq" >&2; return 1; }
  [ "$(id -u)" -eq 0 ] || { echo "needs root" >&2; return 1; }
  # Below a directory that everybody may pass through, as a bundle of root's needs it.
  PLACE=$(mktemp -d /tmp/clawrun-bundle.XXXXXX)
  chmod 755 "$PLACE"
  WHO=clawrunoci$$
  useradd -m "$WHO"
  export PLACE WHO
  cp "$CLAWRUN" "$PLACE/clawrun"
  chmod 755 "$PLACE/clawrun"
  # One root with the mount points, one with none.
  mkdir -p "$PLACE"/full/{bin,tmp,proc,dev,workspace,etc,usr} "$PLACE"/bare/{bin,usr/lib,data/deep,data/over}
  local root
  for root in full bare; do
    cp "$(command -v busybox)" "$PLACE/$root/bin/busybox"
    for applet in $("$PLACE/$root/bin/busybox" --list); do
      [ -e "$PLACE/$root/bin/$applet" ] || ln -s busybox "$PLACE/$root/bin/$applet"
    done
  done
  echo kept >"$PLACE/bare/data/deep/file"
  chmod 1777 "$PLACE/full/tmp"
  # Debian's crun refuses a v2 hierarchy beside v1: it gets a mount namespace of its own without it.
  cat >"$PLACE/crun" <<'EOF'
#!/bin/sh
[ "$(id -u)" -eq 0 ] && mountpoint -q /sys/fs/cgroup/unified || exec /usr/bin/env crun "$@"
exec unshare --mount sh -c 'umount /sys/fs/cgroup/unified && exec crun "$@"' sh "$@"
EOF
  chmod 755 "$PLACE/crun"
  RUNTIMES=$PLACE/clawrun
  command -v runc >/dev/null && RUNTIMES="$RUNTIMES runc"
  command -v crun >/dev/null && RUNTIMES="$RUNTIMES $PLACE/crun"
  export RUNTIMES
}

teardown_file() {
  [ -n "${WHO-}" ] || return 0
  userdel -r "$WHO" 2>/dev/null
  rm -rf "$PLACE"
}

setup() {
  DIR=$PLACE/t$BATS_TEST_NUMBER
  mkdir -m 755 "$DIR"
  AS=
  cd "$DIR" || return 1
}

teardown() {
  # A draft of a bundle that failed, or a container, would be here.
  [ -z "$(find "$PLACE" -name '.clawrun-bundle-*')" ]
  [ -z "$(find "$DIR/state" -mindepth 2 -maxdepth 2 2>/dev/null)" ]
}

# as_user: the rest of the test is the ordinary user's, in a directory of its own.
as_user() {
  AS="setpriv --reuid=$WHO --regid=$WHO --init-groups --inh-caps=-all env HOME=$DIR XDG_RUNTIME_DIR=$DIR/run USER=$WHO"
  mkdir "$DIR/run"
  chown "$WHO:" "$DIR" "$DIR/run"
}

cl() { timeout 60 $AS "$PLACE/clawrun" "$@"; }

# in_bundle RUNTIME: runs ./bundle under it.
in_bundle() {
  local name=${1##*/} inner=
  [ "$name" = crun ] && [ -n "$AS" ] && mountpoint -q /sys/fs/cgroup/unified && inner=y
  $AS mkdir -p "$DIR/state"
  if [ -n "$inner" ]; then
    timeout 60 unshare --mount sh -c 'umount /sys/fs/cgroup/unified && exec "$@"' sh $AS crun --root "$DIR/state/crun" run --bundle bundle "e-$name-$$"
  else
    timeout 60 $AS "$1" --root "$DIR/state/$name" run --bundle bundle "e-$name-$$"
  fi
}

tidy() { sed -E "$(printf '%s\n' "$EXPLAINED" "${ALSO-}" | sed 's/ #.*//')"; }

# emit WORD…: ./bundle
emit() { rm -rf bundle; cl exec --emit-bundle bundle "$@" </dev/null 2>emit.err; }

# same WORD…: exec and the bundle, under each runtime, print the same and end the same.
same() {
  local runtime name
  rm -rf bundle
  emit "$@" || { cat emit.err; return 1; }
  fresh
  { cl exec --quiet "$@" </dev/null 2>&1; echo "status $?"; } | tidy >exec.out
  grep -q . exec.out
  for runtime in $RUNTIMES; do
    name=${runtime##*/}
    fresh
    { in_bundle "$runtime" </dev/null 2>&1; echo "status $?"; } | tidy >"$name.out"
    diff exec.out "$name.out" || { echo "exec and $name differ: $*"; return 1; }
  done
}

fresh() { if [ -d work ]; then rm -rf work/x; fi; }

probed() {
  same "$@" -- sh -c "$PROBE" || return 1
  grep -q '^done$' exec.out && grep -q '^status 7$' exec.out
}

not_in_bundle() { grep -qF -- "not in the bundle: $1" emit.err || { cat emit.err; return 1; }; }

@test "what exec does without options" {
  probed
  probed --rootfs host --user root
  probed --rootfs host --user 7:8
}

@test "settings of the process" {
  probed --rootfs host --env A='b c' --env PATH=/bin --workdir /tmp --hostname other --nofile 100 --nproc 50 --fsize 1m --stack 1m
  probed --rootfs host --cap-add NET_RAW --cap-add NET_BIND_SERVICE
  grep -q 'CapEff:.*0000000000002400' exec.out
  probed --rootfs host --network host
  probed --rootfs host --landlock off
}

@test "65536 ids" {
  probed --rootfs host --id-mapping range
  same --rootfs host --id-mapping range --cap-add CHOWN --cap-add SETUID --cap-add SETGID -- sh -c 'touch /tmp/f; chown 5:6 /tmp/f; ls -ln /tmp/f | cut -c12-20; id'
}

@test "a workspace of another owner" {
  mkdir work
  echo text >work/file
  chown -R 1234:1235 work
  RUNTIMES=${RUNTIMES/ runc/} # before 1.2 runc has no id-mapped mounts: below
  probed --rootfs host --workspace work
  grep -q 'wrote /workspace/x' exec.out
  [ "$(stat -c %u:%g work/x)" = 1234:1235 ]
  probed --rootfs host --workspace work:ro
  run ! grep -q 'wrote /workspace/x' exec.out
}

@test "runc before 1.2 shows it as nobody's, and lets nobody write" {
  command -v runc >/dev/null || skip "no runc"
  runc --version | grep -q 'runc version 1\.1\.' || skip "this runc has id-mapped mounts"
  mkdir work
  chown 1234 work
  emit --rootfs host --workspace work -- sh -c 'touch /workspace/x || stat -c %u /workspace'
  run -0 in_bundle runc </dev/null
  [[ "$output" == *65534 ]]
}

@test "binds and tmpfs" {
  mkdir one
  echo first >one/a
  echo second >file
  RUNTIMES=${RUNTIMES/ runc/}
  # crun 1.8 forgets other options of an id-mapped mount; those for the mounts below too it takes of a directory alone.
  ALSO='s,^(/data/f rw)\S*$,\1,'
  same --rootfs host --bind "$DIR/one:/data/one:ro" --bind "$DIR/file:/data/f" --tmpfs /data/t:1m --tmpfs /more:64k --tmp-size 2m -- sh -c '
    cat /data/one/a /data/f; (echo x >/data/one/a) 2>/dev/null || echo refused; echo y >/data/t/y && cat /data/t/y
    df -k /more /tmp /data/t | awk "{print \$2, \$6}"; stat -c "%u %a" /data/t /more; grep -E " /(data|more)" /proc/self/mountinfo | cut -d" " -f5,6 | sed s/,idmapped// | sort'
  grep -q '^first$' exec.out && grep -q '^second$' exec.out && grep -q '^refused$' exec.out && grep -q '^y$' exec.out
}

@test "root directories: with the mount points and without any; nothing is made in them" {
  local before ALSO=$ENTRIES
  before=$(find "$PLACE/full" "$PLACE/bare" | sort)
  probed --rootfs "$PLACE/full"
  probed --rootfs "$PLACE/bare"
  same --rootfs "$PLACE/bare" --tmpfs /new --tmpfs /data/over -- sh -c 'cat /data/deep/file; ls / /data; touch /new/x /data/over/x && echo made'
  grep -q '^kept$' exec.out && grep -q '^made$' exec.out
  [ "$(find "$PLACE/full" "$PLACE/bare" | sort)" = "$before" ]
  # What the sandbox's user may not look into under exec it may not in a bundle.
  cp -a "$PLACE/full" closed
  chmod 700 closed
  emit --rootfs "$DIR/closed" -- ls /
  run -125 cl exec --rootfs "$DIR/closed" -- ls /
  local runtime
  for runtime in $RUNTIMES; do run ! in_bundle "$runtime" </dev/null; done
}

@test "a mount below the root directory is read-only too" {
  unshare --mount bash -c "
    mkdir -p $PLACE/bare/below && mount -t tmpfs -o mode=777 tmpfs $PLACE/bare/below && cd $DIR
    $PLACE/clawrun exec --quiet --emit-bundle bundle --rootfs $PLACE/bare -- sh -c 'touch /below/x || echo refused'
    $PLACE/clawrun --root $DIR/state run --bundle bundle e-below
    command -v runc >/dev/null || { echo refused; exit 0; }
    runc --root $DIR/state run --bundle bundle e-below" >out 2>&1 </dev/null
  rmdir "$PLACE/bare/below"
  [ "$(grep -c '^refused$' out)" -eq 2 ] || { cat out; return 1; }
}

@test "filters: none, the strict one, the network's, a file's" {
  probed --rootfs host --seccomp unconfined
  probed --rootfs host --seccomp network
  jq -n '{defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 5},
    {names: ["sync"], action: "SCMP_ACT_ERRNO", errnoRet: 3, args: [{index: 0, value: 5, op: "SCMP_CMP_GT"}]}]}' >filter.json
  same --rootfs host --seccomp "$DIR/filter.json" -- sh -c 'mkdir /tmp/x 2>&1'
  grep -q 'Input/output error' exec.out
  same --rootfs host --seccomp strict -- id -u
  not_in_bundle '--seccomp strict lets only the start itself execute a program'
}

@test "every system call, as the kernel answers it under each runtime" {
  local profile runtime matrix=$CLAWRUN_BUILD/tests/security/syscall_matrix
  [ -x "$matrix" ] || skip "no $matrix"
  seq 0 470 | sed 's/$/ allow/' >all
  cl exec --rootfs host --seccomp unconfined --bind "$matrix:/matrix:ro" -- /matrix <all >all.out 2>&1 || true
  sed -n 's/^not ok .* syscall \([0-9]*\): .*got ENOSYS$/\1 kernel-lacks/p' all.out >lacking
  for profile in default docker-compatible network strict; do
    # Calls of another architecture end the thread there; execve has to pass.
    { cat lacking; python3 "$CLAWRUN_SOURCE/tests/security/matrix.py" "$CLAWRUN" "$profile" | grep -vE '^(i386|0x40000027|59|322) '; } >table
    [ "$(wc -l <table)" -gt 400 ]
    rm -rf bundle
    emit --rootfs host --seccomp "$profile" --bind "$matrix:/matrix:ro" -- /matrix
    # What their libseccomp does not know by name (2.5.4: Linux 6.5 and later) gets the default answer.
    for runtime in $RUNTIMES; do
      in_bundle "$runtime" <table >"matrix.out" 2>&1 || true
      grep -q ' calls, [0-9]* not as promised' matrix.out || { tail -3 matrix.out; return 1; }
      ! grep '^not ok' matrix.out | { if [ "${runtime##*/}" = clawrun ]; then cat; else grep -vE 'syscall (335|336|4[5-7][0-9])\b'; fi; } | grep . ||
        { echo "${runtime##*/} $profile"; return 1; }
    done
  done
}

# limits_of RUNTIME WHAT: of the cgroup of a container that runs ./bundle.
limit_of() {
  local name=${1##*/} pid path value=
  mkdir -p state
  "$1" --root "$DIR/state/$name" run --detach --pid-file "$DIR/pid" --bundle bundle "l-$name-$$" </dev/null >/dev/null 2>&1 3>&- || return 1
  pid=$(cat pid)
  path=$(sed -n "s/^[0-9]*:\([a-z,]*,\)\?$2\(,[a-z,]*\)\?:\(.*\)/\3/p" "/proc/$pid/cgroup")
  value=$(cat "/sys/fs/cgroup/$2$path/$3")
  "$1" --root "$DIR/state/$name" delete --force "l-$name-$$" >/dev/null 2>&1
  echo "$value"
}

@test "limits" {
  [ -d /sys/fs/cgroup/memory ] || skip "looks at cgroup v1"
  local runtime
  emit --rootfs host --memory 64m --pids 20 --cpus 0.5 --cpu-shares 512 -- sleep 60
  for runtime in "$PLACE/clawrun" runc; do
    command -v "$runtime" >/dev/null || continue
    [ "$(limit_of "$runtime" memory memory.limit_in_bytes)" = 67108864 ]
    [ "$(limit_of "$runtime" memory memory.memsw.limit_in_bytes)" = 67108864 ]
    [ "$(limit_of "$runtime" pids pids.max)" = 20 ]
    [ "$(limit_of "$runtime" cpu cpu.cfs_quota_us)" = 50000 ]
    [ "$(limit_of "$runtime" cpu cpu.shares)" = 512 ]
  done
  same --rootfs host --memory 64m --pids 20 -- sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21; do sleep 1 & done 2>/dev/null; echo end' || true
}

@test "what config.json has no words for is said, on standard error and in an annotation" {
  emit --rootfs host --timeout 90s --writable --name given --max-output 1m -- true
  local word
  for word in '--timeout 90s' '--writable' '--name given' '--max-output' 'the command has an init'; do not_in_bundle "$word"; done
  jq -r '.annotations["run.clawrun.not-expressed"]' bundle/config.json | jq -r '.[] | "clawrun: not in the bundle: " + .' >said
  diff said emit.err
  rm -r bundle
  emit --quiet --rootfs host -- true
  [ ! -s emit.err ]
  [ "$(stat -c %a:%g bundle)" = 710:2147418112 ]
  [ "$(stat -c %a bundle/config.json)" = 600 ]
}

@test "--writable: the root is read-only, and all else as it was" {
  emit --rootfs host --writable -- sh -c 'ls /usr/bin/env; touch /usr/x || touch /tmp/y && echo stricter'
  local runtime
  for runtime in $RUNTIMES; do
    run -0 in_bundle "$runtime" </dev/null
    [[ "$output" == */usr/bin/env*stricter ]] || { echo "$runtime: $output"; return 1; }
  done
}

@test "Landlock is in the domain of clawrun run" {
  "$PLACE/clawrun" exec --rootfs host --landlock on -- true || skip "no Landlock here"
  mkdir work
  emit --rootfs host --workspace work --bind "$DIR/work:/twice:ro" -- true
  [ "$(jq -r '.annotations["run.clawrun.landlock"]' bundle/config.json)" = 'on rw:/dev/shm rw:/tmp rw:/workspace' ]
}

@test "an ordinary user" {
  as_user
  probed --rootfs host --user root
  ALSO=$ENTRIES probed --rootfs "$PLACE/bare" --user root
  $AS mkdir work
  probed --rootfs host --user root --workspace work
  grep -q 'wrote /workspace/x' exec.out
  [ "$(stat -c %U work/x)" = "$WHO" ]
  [ "$(stat -c %a:%U bundle)" = "700:$WHO" ]
}

@test "an ordinary user has one id to map, and it is root's" {
  as_user
  local runtime
  emit --rootfs host -- sh -c 'id -u; id -g; grep CapEff /proc/self/status'
  not_in_bundle '--user 1000:1000'
  for runtime in $RUNTIMES; do
    run -0 in_bundle "$runtime" </dev/null
    [ "$output" = $'0\n0\nCapEff:\t0000000000000000' ] || { echo "$runtime: $output"; return 1; }
  done
}

@test "an ordinary user with subordinate ids keeps the number" {
  grep -q "^$WHO:" /etc/subuid && command -v newuidmap >/dev/null || skip "no subordinate ids"
  as_user
  RUNTIMES=${RUNTIMES/ runc/} # cannot hand its pipes to a root inside who is not the caller
  probed --rootfs host --id-mapping range
}

@test "a place that is not free, is not there, or may not be written to: nothing is made" {
  local before
  mkdir full empty locked
  touch full/x file
  ln -s empty link
  before=$(find . | sort)
  run -125 cl exec --emit-bundle full --rootfs host -- true
  [[ "$output" == *'--emit-bundle full: it is there already'* ]]
  run -125 cl exec --emit-bundle file --rootfs host -- true
  [[ "$output" == *'it is there already'* ]]
  run -125 cl exec --emit-bundle link --rootfs host -- true
  [[ "$output" == *'it is there already'* ]]
  run -125 cl exec --emit-bundle no/such --rootfs host -- true
  [[ "$output" == *'No such file'* ]]
  run -125 cl exec --emit-bundle file/x --rootfs host -- true
  [[ "$output" == *'Not a directory'* ]]
  local name
  for name in '' . .. / empty/..; do
    run -125 cl exec --emit-bundle "$name" --rootfs host -- true
    [[ "$output" == *'--emit-bundle'* ]]
  done
  run -125 cl exec --emit-bundle new --dry-run -- true
  run -125 cl exec --emit-bundle new --report r -- true
  [[ "$output" == *'runs nothing'* ]]
  run -125 cl exec --emit-bundle new --rootfs host --uid-range 100000:1000 -- true
  [[ "$output" == *'--uid-range'* ]]
  run -125 cl exec --emit-bundle new --rootfs host -- $'\xff'
  [[ "$output" == *'UTF-8'* ]]
  run -125 cl exec --emit-bundle new --rootfs host --seccomp no-such -- true
  [ "$(find . | sort)" = "$before" ]
  # An empty one makes room, with a slash or without.
  cl exec --quiet --emit-bundle empty/ --rootfs host -- true
  [ -f empty/config.json ]
  chmod 755 locked
  AS="setpriv --reuid=$WHO --regid=$WHO --init-groups --inh-caps=-all"
  run -125 cl exec --emit-bundle locked/new --rootfs host -- true
  [[ "$output" == *'Permission denied'* ]]
  [ -z "$(ls -A locked)" ]
}

@test "a disk that is full leaves nothing" {
  run unshare --mount bash -c "
    mkdir small && mount -t tmpfs -o size=16k,nr_inodes=20 tmpfs small || exit 9
    $PLACE/clawrun exec --quiet --emit-bundle small/new --rootfs host -- true
    echo status \$?; ls -A small | wc -l"
  [[ "$output" == *'No space left'*'status 125'*$'\n0' ]]
}
