#!/usr/bin/env bats
# shellcheck disable=SC2154  # for_each sets $who
# Signals to clawrun itself at random moments, mostly of its start: nothing is left, and the status is the signal's.
load helper

storm() {
  local signal=$1 count=$2
  shift 2
  as "$who" python3 "$PLACE/bin/storm.py" "$signal" "$count" "$PLACE/bin/clawrun" exec --rootfs host --bind "$PLACE/bin/hostile:/hostile:ro" "$@" -- \
    /hostile sleep "storm-$who"
  nobody_with "storm-$who"
}

storm_with_a_workspace() {
  local dir=$PLACE/$who
  storm KILL 200 --workspace "$dir" --cap-add CHOWN --time-ns
}

@test "KILL at 200 random moments leaves no process, mount, cgroup or file" { for_each storm KILL 200; }
@test "KILL at 200 random moments, with id-mapped mounts and a range of ids" { for_each storm_with_a_workspace; }
@test "KILL at 200 random moments, without init" { for_each storm KILL 200 --no-init; }
@test "TERM at 100 random moments ends it with 128+15, or by the signal" { for_each storm TERM 100; }
@test "INT at 100 random moments ends it with 128+2, or by the signal" { for_each storm INT 100; }
@test "HUP at 100 random moments ends it with 128+1, or by the signal" { for_each storm HUP 100; }

killed_while_running() {
  local marker="running-$who-$$"
  for _ in 1 2 3 4 5; do
    background clawrun_exec --writable -- sh -c "setsid sleep 1001 & exec /hostile sleep $marker"
    inside_pid "$marker"
    end_background
    nobody_with "$marker"
  done
  nobody_with '^sleep 1001'
}
@test "KILL while the command runs ends everything in the sandbox" {
  for_each killed_while_running
}

second_interrupt() {
  local got=0 marker="interrupt-$who-$$" supervisor
  background clawrun_exec -- /hostile refuse-to-die ignore "$marker"
  supervisor=$!
  wait_for pgrep -f "^/hostile refuse-to-die ignore $marker"
  kill -INT "$supervisor"
  sleep 0.2
  pgrep -f "^/hostile refuse-to-die ignore $marker"
  kill -INT "$supervisor"
  wait "$supervisor" || got=$?
  same "$got" 137
  nobody_with "$marker"
}
@test "a second INT kills what ignores the first" { for_each second_interrupt; }
