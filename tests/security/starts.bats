#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # the shell inside expands; bats runs tests in subshells; for_each sets $who
# Starts under odd circumstances: it works, or it ends with 125 and one clear line.
load helper

teardown() { end_background; }

strange() {
  local -a how=()
  while [ "$1" != -- ]; do
    how+=("$1")
    shift
  done
  shift
  as "$who" "$PLACE/bin/hostile" strange-start "${how[@]}" -- "$PLACE/bin/clawrun" exec --rootfs host "$@"
}

closed_streams() {
  local got streams
  for streams in 'close=0' 'close=1' 'close=2' 'close=0 close=1' 'close=1 close=2' 'close=0 close=2' 'close=0 close=1 close=2'; do
    got=0
    # shellcheck disable=SC2086 # words
    strange $streams -- --bind "$PLACE/bin/hostile:/hostile:ro" --workspace "$PLACE/log" -- sh -c 'exit 7' >/dev/null 2>&1 || got=$?
    same "$got" 7
    got=0
    # shellcheck disable=SC2086 # words
    strange $streams -- --report "$PLACE/log/report-$who" -- sh -c 'echo hello; echo hello >&2' >/dev/null 2>&1 || got=$?
    # Nothing of the command's output ends in a file that was opened meanwhile.
    lacks "$(cat "$PLACE/log/report-$who")" hello
    rm -f "$PLACE/log/report-$who"
  done
  # What is closed is an empty device inside, never a file of the host.
  same "$(strange close=0 -- -- sh -c 'readlink /proc/self/fd/0')" /dev/null
}
@test "standard streams that are closed, each and together" { for_each closed_streams; }

signals_of_the_caller() {
  local got=0
  strange ignore-chld -- -- sh -c 'exit 7' || got=$?
  same "$got" 7
  got=0
  strange ignore-chld -- --no-init -- sh -c 'exit 7' || got=$?
  same "$got" 7
  same "$(strange ignore-all block-all -- -- grep -E '^Sig(Blk|Ign)' /proc/self/status | awk '{print $2}' | sort -u)" 0000000000000000
  same "$(strange ignore-all block-all -- --no-init -- grep -E '^Sig(Blk|Ign)' /proc/self/status | awk '{print $2}' | sort -u)" 0000000000000000
  got=0
  strange block-all ignore-all -- --timeout 200ms --grace 100ms -- sleep 100 || got=$?
  same "$got" 124
}
@test "ignored and blocked signals of the caller neither confuse clawrun nor reach the command" { for_each signals_of_the_caller; }

odd_places() {
  local got=0 text
  same "$(strange no-cwd -- -- pwd)" /workspace
  refused 125 '' strange no-cwd -- --workspace . -- true
  same "$(cd / && clawrun_exec -- pwd)" /workspace
  if [ "$who" = root ]; then
    mkdir -p "$PLACE/jail"/{bin,dev,proc,usr/bin}
    cp "$PLACE/bin/clawrun" /bin/busybox "$PLACE/jail/bin/"
    text=$("$PLACE/bin/hostile" strange-start "chroot=$PLACE/jail" -- /bin/clawrun exec --rootfs host -- /bin/busybox true 2>&1) || got=$?
    same "$got" 125
    has "$text" chroot
    same "$(printf '%s\n' "$text" | wc -l)" 1
    rm -rf "$PLACE/jail"
  fi
}
@test "from a directory that is gone, and from a chroot" { for_each odd_places; }

low_limits() {
  local got n text
  for n in 4 6 8 10 12 16 20 32 64; do
    got=0
    text=$(as "$who" prlimit --nofile="$n" "$PLACE/bin/clawrun" exec --rootfs host --bind "$PLACE/bin/hostile:/hostile:ro" -- /hostile descriptors 2>&1 </dev/null) || got=$?
    case $got in
      0) same "$text" "0 other
1 other
2 other" ;;
      125 | 126) same "$(printf '%s\n' "$text" | wc -l)" 1 ;;
      *) fail "--nofile=$n: status $got: $text" ;;
    esac
    [ "$n" -lt 16 ] || same "$got" 0
  done
  same "$(as "$who" sh -c "umask 077; '$PLACE/bin/clawrun' exec --rootfs host -- sh -c 'umask; stat -c %a / /etc/passwd /tmp /workspace'" | paste -sd' ')" '0022 755 644 1777 755'
}
@test "with few descriptors, and a narrow umask" { for_each low_limits; }

huge_input() {
  local got=0
  same "$(clawrun_exec -- sh -c 'echo ${#1}' sh "$(head -c 120000 /dev/zero | tr '\0' x)")" 120000
  # Beyond what the kernel takes for one argument, and for all of them: an error of the start.
  as "$who" python3 - "$PLACE/bin/clawrun" <<'PYTHON'
import subprocess, sys
run = [sys.argv[1], "exec", "--rootfs", "host"]
def go(*words, **more):
    return subprocess.run([*run, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
# One argument of nearly 128 KiB is the kernel's limit (execve(2)); a hundred thousand small ones are not.
done = go("--", "sh", "-c", "echo $#", "sh", *["a"] * 100_000)
assert done.stdout == b"100000\n", (done.returncode, done.stdout[:200], done.stderr[:200])
# An environment of 1 MiB by options, in pieces that the kernel takes.
words = [w for i in range(10) for w in ("--env", f"V{i}=" + "x" * 100_000)]
done = go(*words, "--", "sh", "-c", "echo ${#V9}")
assert done.stdout == b"100000\n", (done.returncode, done.stderr[:200])
# More than a file of variables may be, or than the kernel takes.
import os, tempfile
with tempfile.NamedTemporaryFile("w") as file:
    file.write("".join(f"V{i}={'x' * 100_000}\n" for i in range(30)))
    file.flush()
    done = go("--env-file", file.name, "--", "true")
    assert done.returncode in (125, 126) and done.stderr.count(b"\n") == 1 and len(done.stderr) < 2000, (done.returncode, done.stderr[:300])
    # One variable of 1 MiB.
    file.truncate(0); file.seek(0)
    file.write("V=" + "x" * (1 << 20) + "\n"); file.flush()
    done = go("--env-file", file.name, "--", "true")
    assert done.returncode in (125, 126) and done.stderr.count(b"\n") == 1 and len(done.stderr) < 2000, (done.returncode, done.stderr[:300])
# A caller's environment of 2 MiB is not the sandbox's.
done = go("--", "env", env={f"V{i}": "x" * 100_000 for i in range(15)})
assert done.returncode == 0 and len(done.stdout) < 500, (done.returncode, len(done.stdout))
PYTHON
  refused 125 command clawrun_exec -- ''
  refused 125 command clawrun_exec --
  refused 125 command clawrun_exec
  refused 127 'not found' clawrun_exec -- "$(head -c 5000 /dev/zero | tr '\0' x)"
  refused 125 '' clawrun_exec --hostname "$(head -c 100000 /dev/zero | tr '\0' x)" -- true
  refused 125 '' clawrun_exec --workdir "/$(head -c 100000 /dev/zero | tr '\0' x)" -- true
  refused 125 '' clawrun_exec --bind "/$(head -c 100000 /dev/zero | tr '\0' x):/x" -- true
}
@test "huge and empty inputs" { for_each huge_input; }

# quiet_about COMMAND…: it fails, and says so without control characters.
quiet_about() {
  local text got=0
  text=$("$@" 2>&1 >/dev/null </dev/null) || got=$?
  [ "$got" -ne 0 ] || fail "no error: $*"
  [ -n "$text" ] || fail "no message: $*"
  [ "$(printf '%s\n' "$text" | LC_ALL=C tr -d '\n\040-\176' | wc -c)" -eq 0 ] || fail "raw bytes in: $(printf '%s' "$text" | od -c | head -20)"
  same "$(printf '%s\n' "$text" | grep -vc '^clawrun: ' || true)" 0
}

escape_sequences() {
  local option bad=$'a\e]0;owned\a\e[31m\nclawrun: all is well\r\x9b'
  quiet_about clawrun_exec -- "$bad"
  quiet_about clawrun_exec -- "/$bad"
  quiet_about clawrun_exec "--$bad" -- true
  quiet_about clawrun_exec "--$bad=x" -- true
  quiet_about clawrun_exec "-$bad" -- true
  quiet_about clawrun_exec "$bad" true
  for option in rootfs workspace bind tmpfs workdir env-file user cap-add hostname timeout nofile fsize network seccomp allow-exec landlock profile preserve-fd id-mapping uid-range memory cpuset; do
    quiet_about clawrun_exec "--$option" "$bad" -- true
    quiet_about clawrun_exec "--$option" "/$bad" -- true
    quiet_about clawrun_exec "--$option" "/x$bad:/y$bad" -- true
  done
  quiet_about clawrun_exec --report "/none/$bad" -- true
  quiet_about clawrun_exec --report "fd:$bad" -- true
  quiet_about clawrun_exec --env "=$bad" -- true
  quiet_about clawrun_exec --bind "/usr:/$bad/x/../y" -- true
  quiet_about clawrun_exec --workdir "/tmp/$bad" -- true
  quiet_about as "$who" "$PLACE/bin/clawrun" "$bad"
  quiet_about as "$who" "$PLACE/bin/clawrun" rootfs path "$bad"
  quiet_about as "$who" "$PLACE/bin/clawrun" seccomp show "$bad"
  printf '%s\n' "{\"$bad\": 1}" >"$PLACE/log/profile-$who.json"
  quiet_about clawrun_exec --profile "$PLACE/log/profile-$who.json" -- true
  printf '{"comment": "\\u001b[31m", "\\u001b[31mhost\\u0007": 1}' >"$PLACE/log/profile-$who.json"
  quiet_about clawrun_exec --profile "$PLACE/log/profile-$who.json" -- true
  rm -f "$PLACE/log/profile-$who.json"
  # A script whose interpreter is missing, by a name of a stranger's choice.
  mkdir -p "$PLACE/log/odd-$who"
  printf '#!/none\n' >"$PLACE/log/odd-$who/$bad"
  chmod 755 "$PLACE/log/odd-$who/$bad"
  quiet_about clawrun_exec --bind "$PLACE/log/odd-$who:/odd" -- "/odd/$bad"
  rm -rf "$PLACE/log/odd-$who"
}
@test "no message carries raw control characters of a name" { for_each escape_sequences; }

full_disk() {
  local got=0 text
  text=$(clawrun_exec --report /dev/full -- sh -c 'exit 5' 2>&1) || got=$?
  same "$got" 5
  has "$text" report
  same "$(printf '%s\n' "$text" | wc -l)" 1
  got=0
  text=$(clawrun_exec -- sh -c 'echo x; exit 6' 2>&1 >/dev/full) || got=$?
  same "$got" 6
  got=0
  text=$(clawrun_exec --dry-run -- true 2>&1 >/dev/full) || got=$?
  same "$got" 125
}
@test "a full disk under the report, and under standard output" { for_each full_disk; }

report_through_a_link() {
  # The report is the caller's own file, wherever its link leads; never one that the sandbox chose.
  local dir=$PLACE/user/report-$who
  rm -rf "$dir"
  mkdir -m 777 "$dir"
  clawrun_exec --workspace "$dir" --report "$dir/report.json" -- sh -c 'rm -f report.json; ln -s /etc/clawrun-made report.json' 2>/dev/null || true
  [ ! -e /etc/clawrun-made ]
  rm -rf "$dir"
}
@test "a report file that the sandbox replaces by a link leads nowhere" { for_each report_through_a_link; }
