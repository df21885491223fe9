# shellcheck shell=bash
# shellcheck disable=SC2154  # bats sets $output and $status
# What the hostile tests share. $PLACE: the suite's directory; $CALLERS: who can start clawrun here, `root user` or `user`.

# as WHO COMMAND…
as() {
  local caller=$1
  shift
  if [ "$caller" = user ] && [ "$(id -u)" -eq 0 ]; then
    ${EXEC:+exec} setpriv --reuid="$WHO" --regid="$WHO" --clear-groups --inh-caps=-all --reset-env "$@"
  else
    ${EXEC:+exec} env -u XDG_RUNTIME_DIR "$@"
  fi
}

# The clawrun that $who starts; the static program of the attacks is at /hostile.
clawrun_exec() { as "$who" "$PLACE/bin/clawrun" exec --rootfs host --bind "$PLACE/bin/hostile:/hostile:ro" "$@"; }

# hostile [OPTION…] -- VERB [WORD…]: the attack, from inside; never for longer than the test can wait.
hostile() {
  local options=()
  while [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  shift
  clawrun_exec --timeout 60s "${options[@]}" -- /hostile "$@"
}

# for_each FUNCTION [WORD…]: with $who as root and as an ordinary user. Nothing here stands in a condition: errexit ends the test.
for_each() {
  local who
  for who in $CALLERS; do
    echo "# as $who"
    "$@"
  done
}

need_root() { [ "$(id -u)" -eq 0 ] || skip 'only root can do this'; }

fail() {
  printf '%s\n' "$*" >&2
  return 1
}

same() { [ "$1" = "$2" ] || fail "expected: $2
is:       $1"; }

# has TEXT PART, lacks TEXT PART
has() { case $1 in *"$2"*) ;; *) fail "expected \"$2\" in: $1" ;; esac; }
lacks() { case $1 in *"$2"*) fail "unexpected \"$2\" in: $1" ;; esac; }

# refused CODE WORD COMMAND…: it ends with this status, and one line on stderr that has the word.
refused() {
  local code=$1 part=$2 got=0 text
  shift 2
  text=$("$@" 2>&1 >/dev/null) || got=$?
  [ "$got" -eq "$code" ] || fail "status $got in place of $code from: $* ($text)"
  [ "$(printf '%s\n' "$text" | wc -l)" -eq 1 ] || fail "not one line: $text"
  has "$text" "$part"
}

# answers NAME=WORD…: each attempt of `hostile attempts` ended with this word.
answers() {
  local text=$1 pair
  shift
  for pair; do
    printf '%s\n' "$text" | grep -qx "${pair%%=*} ${pair#*=}" ||
      fail "expected ${pair%%=*} ${pair#*=}, got: $(printf '%s\n' "$text" | grep "^${pair%%=*} ")"
  done
}

# nobody_with TEXT: no process of this machine has it in its command line.
nobody_with() {
  local tries=100
  while pgrep -f -- "$1" >/dev/null; do
    [ $((tries -= 1)) -gt 0 ] || fail "still alive: $(pgrep -af -- "$1")"
    sleep 0.02
  done
}

# wait_for COMMAND…: until it succeeds.
wait_for() {
  local tries=250
  until "$@" >/dev/null 2>&1; do
    [ $((tries -= 1)) -gt 0 ] || fail "waited five seconds in vain for: $*"
    sleep 0.02
  done
}

# background COMMAND…: without an end of the runner's pipes, and ended by end_background, which every teardown calls. $! is the
# command itself where it goes through `as`.
background() {
  EXEC=1 "$@" 3>&- &
  echo "$!" >>"$BATS_TEST_TMPDIR/background"
}

end_background() {
  local pid
  [ -e "$BATS_TEST_TMPDIR/background" ] || return 0
  while read -r pid; do
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done <"$BATS_TEST_TMPDIR/background"
  rm "$BATS_TEST_TMPDIR/background"
}

# inside_pid MARKER: waits for `hostile sleep MARKER` to run in a sandbox; sets $pid.
inside_pid() {
  wait_for pgrep -f "^/hostile sleep $1"
  # shellcheck disable=SC2034 # for the caller
  pid=$(pgrep -f "^/hostile sleep $1")
}

# A root that every sandbox can start in, at $1: busybox, static.
make_rootfs() {
  mkdir -p "$1"/{bin,proc,dev,tmp,workspace,etc}
  cp /bin/busybox "$1/bin/busybox"
  ln -s busybox "$1/bin/sh"
  ln -s busybox "$1/bin/ls"
  chmod 755 "$1"
}

# A canary: a directory of the host that nothing may be written into. listing DIR: what it looks like.
listing() { find "$1" -printf '%p %y %m %u %s %T@ %l\n' | LC_ALL=C sort; }
