#!/usr/bin/env bats
# What passes between a sandbox and the caller's own things: mounts, pipes, files, terminals.
# shellcheck disable=SC2154,SC2016,SC2153,SC2030,SC2031  # $output is bats'; the single quotes are for the shell inside

load helper

# Every systemd host has shared mounts, this machine may not: a private copy of its mounts is made shared.
on_shared_mounts() {
  unshare --mount --propagation private sh -c 'mount --make-rshared / && sort /proc/self/mountinfo >"$1/mounts.before" &&
    shift && "$@"; code=$?; sort /proc/self/mountinfo >"$0/mounts.after"; exit $code' "$PLACE" "$PLACE" "$@"
}

@test "shared mounts of the host: nothing that is mounted inside appears outside" {
  need_root
  mkdir -p "$PLACE/shared/sub" "$PLACE/other" "$PLACE/plain/proc" "$PLACE/plain/dev" "$PLACE/plain/tmp" "$PLACE/plain/workspace" "$PLACE/plain/bin"
  cp "$PLACE/bin/hostile" "$PLACE/plain/bin/hostile"
  on_shared_mounts "$PLACE/bin/clawrun" exec --workspace "$PLACE/shared" --bind "$PLACE/other:/workspace/sub" -- sh -c 'touch sub/x'
  [ -e "$PLACE/other/x" ]
  same "$(cat "$PLACE/mounts.after")" "$(cat "$PLACE/mounts.before")"
  on_shared_mounts "$PLACE/bin/clawrun" exec --rootfs "$PLACE/plain" --quiet -- /bin/hostile || [ $? -lt 125 ]
  same "$(cat "$PLACE/mounts.after")" "$(cat "$PLACE/mounts.before")"
}

@test "shared mounts of the host: what it mounts later does not appear inside" {
  need_root
  mkdir -p "$PLACE/later/point"
  run unshare --mount --propagation private sh -c 'mount --make-rshared /
    "$1/bin/clawrun" exec --workspace "$1/later:ro" -- sh -c "sleep 1; ls point; grep -c point /proc/self/mountinfo" >"$1/inside" &
    sleep 0.5; mount -t tmpfs none "$1/later/point"; touch "$1/later/point/new"; wait' sh "$PLACE"
  same "$(cat "$PLACE/inside")" 0
}

@test "a script on standard input cannot be added to by the command" {
  need_root
  printf '%s\n' "\"$PLACE/bin/clawrun\" exec -- sh -c 'echo \"touch $PLACE/injected\" > /proc/self/fd/0' 2>/dev/null" 'echo end' >"$PLACE/script"
  bash < <(cat "$PLACE/script") # a pipe, not the file
  [ ! -e "$PLACE/injected" ]
  same "$(printf 'x\n' | "$PLACE/bin/clawrun" exec -- sh -c 'cat /dev/stdin')" x
  same "$("$PLACE/bin/clawrun" exec -- sh -c 'echo y >/dev/stdout' | cat)" y
}

set_id() {
  local place=$PLACE/$who/setid
  as "$who" mkdir -p "$place"
  run clawrun_exec --workspace "$place" -- sh -c 'cp /hostile x; chmod 4755 x; chmod u+s x; chmod 2755 x; install -m 6755 x y; chmod 755 x; echo done'
  has "$output" 'done'
  same "$(find "$place" -perm /6000)" ''
  # The same call is nothing but a mode where no directory of the caller can be written to.
  clawrun_exec -- sh -c 'cp /hostile x; chmod 4755 x; test -u x'
}
@test "no file of a workspace becomes a set-ID program" { for_each set_id; }

@test "a terminal that nobody reads does not keep --timeout from working" {
  run timeout 20 python3 - "$PLACE/bin/clawrun" <<'PY'
import os, pty, subprocess, sys, time
master, slave = pty.openpty()
begin = time.monotonic()
child = subprocess.Popen([sys.argv[1], "exec", "--quiet", "--timeout", "1s", "--grace", "1s", "--", "yes"], stdin=subprocess.DEVNULL, stdout=slave)
print(child.wait(), time.monotonic() - begin < 10)
PY
  same "$output" '124 True'
}

rootfs_links_into_workspace() {
  local root=$PLACE/$who/linked work=$PLACE/$who/work
  as "$who" mkdir -p "$root/bin" "$work"
  as "$who" cp "$PLACE/bin/hostile" "$root/bin/hostile"
  as "$who" ln -sfn /workspace "$root/data"
  as "$who" "$PLACE/bin/clawrun" exec --quiet --rootfs "$root" --workspace "$work" --bind "$PLACE/bin:/data/planted:ro" -- /bin/hostile 2>/dev/null || true
  same "$(ls -A "$work")" ''
}
@test "a link of a root filesystem leads the making of mount points into no directory of the caller" { for_each rootfs_links_into_workspace; }

init_is_confined() {
  run clawrun_exec -- sh -c 'grep -E "^(Seccomp|CapEff|NoNewPrivs):" /proc/1/status | tr -d "\t"'
  same "$output" 'CapEff:0000000000000000
NoNewPrivs:1
Seccomp:2'
}
@test "init has no capability, no new privileges, and a filter of its own" { for_each init_is_confined; }

root_through_a_link() {
  as "$who" ln -sfn / "$PLACE/$who/slash"
  refused 125 'the host itself' as "$who" "$PLACE/bin/clawrun" exec --rootfs "$PLACE/$who/slash" -- true
}
@test "the host's root is no root filesystem, by whatever name" { for_each root_through_a_link; }

nohup_holds() {
  local pid got=0
  EXEC=yes as "$who" sh -c 'trap "" HUP; exec "$1" exec -- sh -c "sleep 1; exit 9"' sh "$PLACE/bin/clawrun" &
  pid=$!
  sleep 0.5
  kill -HUP "$pid"
  wait "$pid" || got=$?
  same "$got" 9
}
@test "HUP that the caller ignores is not forwarded: nohup works" { for_each nohup_holds; }
