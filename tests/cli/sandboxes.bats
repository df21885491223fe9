#!/usr/bin/env bats
# The verbs over running sandboxes: list, stats, update, pause, resume, gc; and the records they rest on. The binary is $CLAWRUN.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # the shells inside expand their own; each test has its own shell; bats sets stderr_lines

bats_require_minimum_version 1.5.0

setup_file() {
  : "${CLAWRUN:?set CLAWRUN to the clawrun binary under test}"
  command -v jq >/dev/null || { echo "needs jq" >&2; return 1; }
  # An ordinary user may not reach into the checkout.
  export PLACE BIN TEST_USER=crlist$$
  PLACE=$(mktemp -d /tmp/clawrun-list.XXXXXX)
  chmod 755 "$PLACE"
  BIN=$PLACE/clawrun
  install -m 755 "$CLAWRUN" "$BIN"
  if [ "$(id -u)" -eq 0 ]; then useradd --create-home --home-dir "$PLACE/home" --shell /bin/sh "$TEST_USER"; fi
}

teardown_file() {
  if getent passwd "$TEST_USER" >/dev/null; then
    rm -rf "/tmp/clawrun-$(id -u "$TEST_USER")"
    userdel "$TEST_USER"
  fi
  rm -rf "$PLACE"
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  chmod 755 "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" 2>/dev/null || true
  PIDS=()
  # Names of this test alone: the machine may have other sandboxes.
  N=t$$-$BATS_TEST_NUMBER
  WHO=own
}

teardown() {
  local pid
  for pid in "${PIDS[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
  for pid in "${PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [ "${#PIDS[@]}" -gt 0 ]; then cr gc >/dev/null; fi
}

# clawrun, of the test's own caller or, with WHO=user, of the ordinary user.
cr() {
  if [ "$WHO" = user ] && [ "$(id -u)" -eq 0 ]; then
    setpriv --reuid="$TEST_USER" --regid="$TEST_USER" --init-groups --inh-caps=-all env -u XDG_RUNTIME_DIR "${ENV[@]}" HOME="$PLACE/home" "$BIN" "$@"
  else
    "$BIN" "$@"
  fi
}

# starts NAME [OPTION…] -- COMMAND…: in the background; returns when it runs. $SUPERVISOR is its clawrun, $FIRST its pid 1.
starts() {
  local name=$1
  shift
  if [ "$WHO" = user ]; then
    cr exec --rootfs host --name "$name" "$@" >"out.$name" 2>"err.$name" 3>&- &
  else
    "$BIN" exec --rootfs host --name "$name" "$@" >"out.$name" 2>"err.$name" 3>&- &
  fi
  PIDS+=("$!")
  until_true runs "$name" || { cat "err.$name"; return 1; }
  SUPERVISOR=$(of "$name" supervisor_pid)
  FIRST=$(of "$name" pid)
  PIDS+=("$SUPERVISOR")
}

# of NAME FIELD: from `clawrun list --json`
of() { cr list --json 2>/dev/null | jq -r --arg id "$1" ".[] | select(.id == \$id) | .$2"; }

runs() { [ "$(of "$1" status)" = running ]; }
listed() { cr list --quiet 2>/dev/null | grep -qx -- "$1"; }
unlisted() { ! listed "$1"; }
dead() { [ ! -e "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status"; }

# until_true COMMAND…: within five seconds.
until_true() {
  local i
  for ((i = 0; i < 100; i++)); do
    "$@" && return
    sleep 0.05
  done
  return 1
}

# says STATUS PATTERN WORD…: `clawrun WORD…` ends so, with one line on stderr that matches and nothing on stdout.
says() {
  local expected=$1 pattern=$2
  shift 2
  run --separate-stderr "-$expected" cr "$@"
  printf 'stdout: %s\nstderr: %s\n' "$output" "$stderr"
  [ -z "$output" ] && [ "${#stderr_lines[@]}" -eq 1 ] && [[ $stderr == "clawrun: $1: "* ]] && [[ $stderr =~ $pattern ]]
}

need_root() { [ "$(id -u)" -eq 0 ] || skip 'only root can do this'; }

# Whether this caller's sandboxes have cgroups here; what needs them is skipped with the reason otherwise.
need_cgroup() {
  starts "$N-probe" -- sleep 60
  local paths
  paths=$(of "$N-probe" 'cgroup.paths | length')
  kill -KILL "$SUPERVISOR"
  until_true dead "$FIRST"
  cr gc >/dev/null
  [ "${paths:-0}" -gt 0 ] || skip 'no cgroup can be had here'
}

# records: the directory where this caller's records are.
records() {
  if [ "$(id -u)" -eq 0 ] && [ "$WHO" = own ]; then
    echo /run/clawrun/sandboxes
  elif [ -n "${XDG_RUNTIME_DIR-}" ] && [ "$WHO" = own ]; then
    echo "$XDG_RUNTIME_DIR/clawrun/sandboxes"
  else
    echo "/tmp/clawrun-$(id -u "$TEST_USER" 2>/dev/null || id -u)/sandboxes"
  fi
}

@test "list shows what runs, and nothing else" {
  starts "$N" -- sleep 60
  run --separate-stderr cr list
  [ "$status" -eq 0 ]
  [[ ${lines[0]} =~ ^ID\ +PID\ +STATUS\ +AGE\ +MEMORY\ +CPU\ +COMMAND$ ]]
  [[ $(grep "^$N " <<<"$output") =~ ^$N\ +$FIRST\ +running\ +[0-9]+s\ .*\ sleep\ 60$ ]]
  # Columns begin below their titles.
  [ "$(grep "^$N " <<<"$output" | cut -c"$(($(awk '{print index($0, "STATUS")}' <<<"${lines[0]}")))"-)" != "" ]
  [[ $(grep "^$N " <<<"$output" | cut -c"$(awk 'NR == 1 {print index($0, "STATUS")}' <<<"$output")"-) == running* ]]
  run cr list -q
  grep -qx "$N" <<<"$output"
  kill -TERM "$SUPERVISOR"
  until_true unlisted "$N"
  [ ! -e "$(records)/$N" ]
}

@test "list without sandboxes is a line of titles, an empty array, and nothing" {
  need_root
  WHO=user
  run --separate-stderr cr list
  [ "$status" -eq 0 ]
  [ "${#lines[@]}" -eq 1 ]
  [[ $output == ID* ]]
  [ -z "$stderr" ]
  run cr list --json
  [ "$(jq -c . <<<"$output")" = "[]" ]
  run cr list --quiet
  [ "$status" -eq 0 ]
  [ -z "$output" ]
}

@test "list --json has the documented members" {
  starts "$N" -- sleep 60
  run cr list --json
  jq -e --arg id "$N" '.[] | select(.id == $id) | keys_unsorted == ["id", "status", "pid", "supervisor_pid", "started_at", "sampled_at",
    "age_ms", "command", "rootfs", "cgroup", "memory_bytes", "memory_peak_bytes", "memory_limit_bytes", "swap_bytes", "oom_kills",
    "cpu_us", "cpu_user_us", "cpu_system_us", "pids", "pids_peak", "pids_limit", "pids_limit_hits", "cpu_throttling", "io", "psi"]
    and .command == ["sleep", "60"] and .rootfs == "host" and (.started_at | test("^2[0-9-]+T[0-9:.]+Z$")) and .age_ms < 60000' <<<"$output"
}

@test "each verb explains itself, and refuses what it does not know" {
  local verb
  for verb in list stats update pause resume gc; do
    run --separate-stderr cr "$verb" --help
    [ "$status" -eq 0 ]
    [[ $output == "usage: clawrun $verb"* ]]
    [[ $output == *"clawrun-$verb(1)"* ]]
    [ -z "$stderr" ]
    [ "$output" = "$(cr help "$verb")" ]
    says 2 'unknown option "--frobnicate"' "$verb" --frobnicate
  done
  for verb in stats update pause resume; do
    says 2 'the ID of a sandbox is missing; clawrun list' "$verb"
    says 2 'unexpected word "b"' "$verb" a b
  done
  for verb in list gc; do says 2 'unexpected word "a"' "$verb" a; done
  says 2 '--json and --quiet exclude each other' list --json -q
  says 2 'did you mean --follow' stats a --folow
  says 2 '--interval wants --follow' stats a --interval 1s
  says 1 '--interval: .* is not a time' stats a --follow --interval soon
  says 2 'at least 10ms' stats a --follow --interval 0
  says 2 'no limit is given' update a
  says 1 '--memory: .* is not a size' update a --memory lots
  says 2 'did you mean --memory' update a --memry 1g
}

@test "a sandbox is meant by its id or a beginning that no other has" {
  starts "$N-ab" -- sleep 60
  starts "$N-ac" -- sleep 60
  run cr stats "$N-ab"
  [ "$status" -eq 0 ]
  run cr stats --json "$N-ac"
  [ "$(jq -r .id <<<"$output")" = "$N-ac" ]
  says 1 "is the beginning of more than one sandbox: $N-ab, $N-ac" stats "$N-a"
  says 1 "there is no running sandbox \"$N-ad\"; did you mean \"$N-a[bc]\"\\? clawrun list" stats "$N-ad"
  says 1 'there is no running sandbox "zzzzzzzzz"; clawrun list' pause zzzzzzzzz
  says 1 'there is no running sandbox "\\x1b\[2J' resume $'\e[2J'
  says 1 'there is no running sandbox "../../etc/passwd"' stats ../../etc/passwd
  says 1 'there is no running sandbox ""' stats ''
}

@test "a name that is taken is refused, with its holder; afterwards it is free" {
  starts "$N" -- sleep 60
  run --separate-stderr -125 cr exec --rootfs host --name "$N" -- true
  [ "${#stderr_lines[@]}" -eq 1 ]
  [[ $stderr == "clawrun: the name \"$N\" is taken by a running sandbox (pid $SUPERVISOR, since 2"*"); choose another --name" ]]
  runs "$N"
  kill -TERM "$SUPERVISOR"
  until_true unlisted "$N"
  run -0 cr exec --rootfs host --name "$N" -- true
}

@test "of twenty that want one name at the same time one gets it" {
  local i
  for i in {1..20}; do
    "$BIN" exec --rootfs host --name "$N" -- sleep 60 2>"err.$i" 3>&- &
    PIDS+=("$!")
  done
  nineteen_refused() { [ "$(grep -l 'is taken by a running sandbox' err.* | wc -l)" -eq 19 ]; }
  until_true nineteen_refused
  until_true runs "$N"
  kill -TERM "$(of "$N" supervisor_pid)"
  until_true unlisted "$N"
}

@test "stats says in words what was used" {
  need_cgroup
  starts "$N" --memory 64m --pids 77 -- sh -c 'while :; do :; done'
  sleep 1
  run --separate-stderr cr stats "$N"
  echo "$output"
  [ "$status" -eq 0 ]
  [ -z "$stderr" ]
  [[ ${lines[0]} =~ ^sandbox\ +$N,\ running\ for\ [0-9]+s,\ pid\ $FIRST$ ]]
  [[ ${lines[1]} =~ ^command\ +sh\ -c ]]
  grep -Eq '^memory +[0-9.]+[kmg]? of 64m' <<<"$output"
  grep -Eq '^processor +[0-9.]+s \(user ' <<<"$output"
  grep -Eq '^processes +[1-9][0-9]* of 77' <<<"$output"
  run cr stats "$N" --json
  [ "${#lines[@]}" -eq 1 ]
  jq -e '.memory_limit_bytes == 67108864 and .pids_limit == 77 and .cpu_us > 200000 and .memory_bytes > 0' <<<"$output"
}

@test "stats --follow ends with the sandbox, at once and well" {
  starts "$N" -- sleep 4
  run --separate-stderr timeout 20 "$BIN" stats --follow "$N" --json --interval 200ms
  [ "$status" -eq 0 ]
  [ -z "$stderr" ]
  [ "${#lines[@]}" -ge 5 ]
  [ "${#lines[@]}" -le 22 ]
  [ "$(jq -rs 'map(.id) | unique | join(",")' <<<"$output")" = "$N" ]
  jq -es 'map(.age_ms) | . == sort and .[-1] > .[0]' <<<"$output"
  # A long interval is not waited for.
  starts "$N" -- sleep 3
  local began=$SECONDS
  run --separate-stderr timeout 20 "$BIN" stats --follow "$N" --interval 1h
  [ "$status" -eq 0 ]
  [ $((SECONDS - began)) -lt 8 ]
  [[ ${lines[0]} == *AGE*MEMORY*PEAK*CPU%*PIDS*READ*WRITTEN ]]
  [ "${#lines[@]}" -eq 2 ]
}

@test "stats --follow ends when nobody reads any more" {
  starts "$N" -- sleep 60
  local began=$SECONDS
  timeout 20 "$BIN" stats --follow "$N" --interval 1h | head -n 1 >/dev/null
  [ "${PIPESTATUS[0]}" -eq 0 ]
  timeout 20 "$BIN" stats --follow "$N" --interval 20ms | head -n 3 >/dev/null
  [ "${PIPESTATUS[0]}" -eq 0 ]
  run -1 timeout 20 sh -c 'exec "$1" stats --follow "$2" --json >/dev/full' sh "$BIN" "$N"
  [ "$output" = 'clawrun: stats: writing to standard output: No space left on device' ]
  [ $((SECONDS - began)) -lt 15 ]
  runs "$N"
}

@test "stats --follow does not take a later sandbox of the same name for the first" {
  starts "$N" -- sleep 60
  timeout 30 "$BIN" stats --follow "$N" --json --interval 100ms >follow 3>&- &
  local follower=$!
  until_true test -s follow
  kill -KILL "$SUPERVISOR"
  until_true dead "$FIRST"
  starts "$N" -- sleep 60
  wait "$follower"
  [ "$(jq -rs 'map(.pid) | unique | length' follow)" -eq 1 ]
  runs "$N"
}

@test "update changes a limit that holds at once" {
  need_cgroup
  starts "$N" --memory 64m --pids 50 -- sleep 60
  run --separate-stderr -0 cr update "$N" --memory 96m --pids=61
  [ -z "$output$stderr" ]
  [ "$(of "$N" memory_limit_bytes)" = 100663296 ]
  [ "$(of "$N" pids_limit)" = 61 ]
  run -0 cr update --pids none "$N"
  [ "$(of "$N" pids_limit)" = null ]
  [ "$(of "$N" memory_limit_bytes)" = 100663296 ]
  says 1 '--memory: .* is too little' update "$N" --memory 1
  says 1 'there is no running sandbox' update "${N}x" --memory 64m
}

@test "update --cpus slows a spinner down" {
  need_cgroup
  starts "$N" -- sh -c 'while :; do :; done'
  run -0 cr update "$N" --cpus 0.2
  local before after
  before=$(of "$N" cpu_us)
  sleep 3
  after=$(of "$N" cpu_us)
  echo "$before $after"
  [ $((after - before)) -lt 900000 ]
  [ $((after - before)) -gt 200000 ]
}

@test "pause stops everything and resume lets it go on" {
  need_cgroup
  starts "$N" -- sh -c 'i=0; while :; do i=$((i + 1)); echo $i; sleep 0.05; done'
  until_true test -s "out.$N"
  run --separate-stderr -0 cr pause "$N"
  [ -z "$output$stderr" ]
  [ "$(of "$N" status)" = paused ]
  [[ $(cr list | grep "^$N ") == *paused* ]]
  [[ $(cr stats "$N") == *", paused for "* ]]
  local before
  before=$(wc -l <"out.$N")
  sleep 0.5
  [ "$(wc -l <"out.$N")" -eq "$before" ]
  run -0 cr pause "$N"
  run -0 cr resume "$N"
  more() { [ "$(wc -l <"out.$N")" -gt "$before" ]; }
  until_true more
  runs "$N"
  run -0 cr resume "$N"
}

@test "a paused sandbox is ended by its timeout and by a signal" {
  need_cgroup
  local began=$SECONDS
  starts "$N" --timeout 4s --grace 500ms -- sleep 60
  run -0 cr pause "$N"
  local code=0
  wait "$SUPERVISOR" || code=$?
  [ "$code" -eq 124 ]
  until_true unlisted "$N"
  [ $((SECONDS - began)) -lt 20 ]
  starts "$N" -- sleep 60
  run -0 cr pause "$N"
  kill -INT "$SUPERVISOR"
  kill -INT "$SUPERVISOR"
  sleep 0.2
  kill -INT "$SUPERVISOR" 2>/dev/null || true
  until_true dead "$FIRST"
  until_true unlisted "$N"
}

@test "what a killed clawrun left is not listed, and gc removes it" {
  starts "$N" -- sh -c 'setsid sleep 61 & sleep 60'
  local paths path
  paths=$(of "$N" 'cgroup.paths[]')
  kill -KILL "$SUPERVISOR"
  until_true unlisted "$N"
  [ -e "$(records)/$N" ]
  run --separate-stderr -0 cr gc
  grep -qx "$N" <<<"$output"
  [ -z "$stderr" ]
  [ ! -e "$(records)/$N" ]
  until_true dead "$FIRST"
  for path in $paths; do [ ! -e "$path" ]; done
  run -0 cr gc
  [[ $output != *"$N"* ]]
}

@test "gc ends a paused sandbox whose clawrun was killed" {
  need_cgroup
  starts "$N" -- sleep 60
  local paths path
  paths=$(of "$N" 'cgroup.paths[]')
  cr pause "$N"
  kill -KILL "$SUPERVISOR"
  until_true unlisted "$N"
  run --separate-stderr -0 cr gc
  grep -qx "$N" <<<"$output"
  dead "$FIRST"
  for path in $paths; do [ ! -e "$path" ]; done
}

@test "the next start removes what a killed clawrun left, and its name is free" {
  local i
  starts "$N" -- sleep 60
  kill -KILL "$SUPERVISOR"
  until_true unlisted "$N"
  run -0 cr exec --rootfs host --name "$N" -- true
  [ ! -e "$(records)/$N" ]
  starts "$N" -- sleep 60
  kill -KILL "$SUPERVISOR"
  until_true unlisted "$N"
  swept() {
    cr exec --rootfs host -- true
    [ ! -e "$(records)/$N" ]
  }
  # Each start looks at some of the records only.
  until_true swept
}

@test "whenever a starting clawrun is killed, gc leaves nothing of it" {
  local i
  for i in {1..40}; do
    "$BIN" exec --rootfs host --name "$N-$i" --memory 64m --cpus 0.5 -- sleep 60 2>/dev/null 3>&- &
    PIDS+=("$!")
    sleep "0.00$((i % 8))"
    kill -KILL "$!"
  done
  nothing_left() {
    "$BIN" gc >/dev/null && [ -z "$(find /sys/fs/cgroup "$(records)" -name "*$N*" -print -quit 2>/dev/null)" ]
  }
  until_true nothing_left
}

@test "gc leaves alone what runs, also while others sweep and start" {
  starts "$N" -- sleep 60
  local i
  for i in 1 2 3; do
    (for _ in {1..20}; do "$BIN" gc || exit 1; done) >"gc.$i" 2>&1 3>&- &
    PIDS+=("$!")
  done
  for i in {1..10}; do run -0 cr exec --rootfs host --name "$N-$i" -- true; done
  for i in 1 2 3; do wait "${PIDS[-i]}"; done
  run -1 grep -q "^$N" gc.1 gc.2 gc.3
  runs "$N"
}

@test "what is no record is a problem of one line, and harms nothing" {
  starts "$N" -- sleep 60
  local dir
  dir=$(records)
  echo '{"id": "broken"' >"$dir/$N-broken"
  sed "s/$N/$N-copy/g" "$dir/$N" >"$dir/$N-forged"
  ln -s /etc/passwd "$dir/$N-link"
  mkfifo "$dir/$N-fifo"
  head -c 100000 /dev/zero >"$dir/$N-huge"
  mkdir "$dir/$N-directory"
  run --separate-stderr timeout 10 "$BIN" list
  [ "$status" -eq 0 ]
  grep -q "^$N " <<<"$output"
  local kind
  for kind in broken forged link fifo huge directory; do
    grep -q "^clawrun: list: $dir/$N-$kind is not the record of a sandbox: " <<<"$stderr"
  done
  run --separate-stderr timeout 10 "$BIN" stats "$N"
  [ "$status" -eq 0 ]
  run --separate-stderr -1 timeout 10 "$BIN" gc
  grep -q "^clawrun: gc: $dir/$N-fifo is not the record of a sandbox: it is no regular file" <<<"$stderr"
  run --separate-stderr -0 timeout 10 "$BIN" exec --rootfs host -- true
  [ -z "$stderr" ]
  run --separate-stderr -125 timeout 10 "$BIN" exec --rootfs host --name "$N-broken" -- true
  [[ $stderr == *"$dir/$N-broken is not the record of a sandbox"* ]]
  [ -p "$dir/$N-fifo" ]
  [ -L "$dir/$N-link" ]
  [ -d "$dir/$N-directory" ]
  rm "$dir/$N-broken" "$dir/$N-forged" "$dir/$N-link" "$dir/$N-fifo" "$dir/$N-huge"
  rmdir "$dir/$N-directory"
  runs "$N"
}

@test "a record that names another's cgroup or process ends neither" {
  need_root
  starts "$N" -- sleep 60
  local dir
  dir=$(records)
  # As if the supervisor had died and its pid had been given to another process: the victim is alive under both numbers.
  sleep 60 3>&- &
  local victim=$!
  PIDS+=("$victim")
  jq -c --arg id "$N-forged" --argjson pid "$victim" '.id = $id | .supervisor = {pid: 4194303, start_ticks: 1}
    | .first = {pid: $pid, start_ticks: 1} | .cgroup.v1 = [{path: "/sys/fs/cgroup/memory", controllers: ["memory"]}]' "$dir/$N" >"$dir/$N-forged"
  run --separate-stderr -1 cr gc
  [[ $stderr == *"$N-forged is not the record of a sandbox"* ]]
  kill -0 "$victim"
  runs "$N"
  rm "$dir/$N-forged"
}

@test "a record of another owner, or one that others can write, is not believed" {
  need_root
  starts "$N" -- sleep 60
  local dir
  dir=$(records)
  cp "$dir/$N" "$BATS_TEST_TMPDIR/kept"
  chown "$TEST_USER" "$dir/$N"
  run --separate-stderr -0 cr list
  [[ $stderr == *"it belongs to uid "* ]]
  [[ $output != *"$N "* ]]
  chown root "$dir/$N"
  chmod 666 "$dir/$N"
  run --separate-stderr -0 cr list
  [[ $stderr == *"others can write to it"* ]]
  chmod 600 "$dir/$N"
  runs "$N"
}

@test "an ordinary user sees and touches only the own sandboxes" {
  need_root
  starts "$N-root" -- sleep 60
  WHO=user
  starts "$N-user" -- sleep 60
  listed "$N-user"
  unlisted "$N-root"
  says 1 'there is no running sandbox' pause "$N-root"
  [ -z "$(cr gc)" ]
  local supervisor=$SUPERVISOR
  WHO=own
  listed "$N-root"
  unlisted "$N-user"
  WHO=user
  [ "$(stat -c '%a %U' "$(records)")" = "700 $TEST_USER" ]
  kill -KILL "$supervisor"
  until_true unlisted "$N-user"
  [ "$(cr gc)" = "$N-user" ]
  until_true dead "$FIRST"
  # In /tmp nothing stays, not even a directory.
  [ ! -e "$(records)" ]
}

@test "a user's records are in XDG_RUNTIME_DIR where it is the user's own, and never in another's" {
  need_root
  WHO=user
  mkdir -m 700 own
  mkdir -m 777 everyones
  chmod 777 everyones
  chown "$TEST_USER" own
  ENV=(XDG_RUNTIME_DIR="$PWD/own")
  starts "$N" -- sleep 60
  [ -f "own/clawrun/sandboxes/$N" ]
  kill -TERM "$SUPERVISOR"
  until_true unlisted "$N"
  for dir in "$PWD/everyones" everyones relative /root ''; do
    ENV=(XDG_RUNTIME_DIR="$dir")
    starts "$N" -- sleep 60
    [ -f "$(records)/$N" ]
    kill -TERM "$SUPERVISOR"
    until_true unlisted "$N"
  done
  [ -z "$(ls everyones)" ]
}

@test "a directory in the place of the user's that somebody else made is refused with the remedy" {
  need_root
  WHO=user
  local uid
  uid=$(id -u "$TEST_USER")
  rm -rf "/tmp/clawrun-$uid"
  mkdir -m 777 "/tmp/clawrun-$uid"
  says 1 "/tmp/clawrun-$uid must belong to uid $uid and be writable by nobody else: remove it" list
  rmdir "/tmp/clawrun-$uid"
  ln -s /root "/tmp/clawrun-$uid"
  says 1 "/tmp/clawrun-$uid" list
  rm "/tmp/clawrun-$uid"
  run -0 cr list
}

@test "a sandbox without a cgroup is listed, and what it lacks is said" {
  need_root
  WHO=user
  starts "$N" --allow-degraded -- sleep 60
  if [ "$(of "$N" 'cgroup')" != null ]; then skip 'an ordinary user has a cgroup here'; fi
  [[ $(cr stats "$N") == *"nothing: it has no cgroup"* ]]
  says 1 "sandbox \"$N\" has no cgroup" pause "$N"
  says 1 "sandbox \"$N\" has no cgroup" update "$N" --pids 9
}

@test "a command of any bytes and any length is shown harmlessly" {
  starts "$N" -- sh -c 'sleep 60' $'\e[31m\xff' "$(head -c 20000 /dev/zero | tr '\0' x)"
  run cr list
  [[ $output != *$'\e'* ]]
  [[ $output == *'sh -c sleep 60 ?[31m??? xxx'*... ]]
  run cr stats "$N" --json
  jq -e '.command[-1] == "..." and (.command[4] | length) < 4096' <<<"$output"
}

@test "the completions offer the ids of what runs" {
  starts "$N" -- sleep 60
  PATH=$PLACE:$PATH
  # shellcheck disable=SC1090 # made here
  source <(cr completion bash)
  local COMP_WORDS=(clawrun stats "$N") COMP_CWORD=2 COMPREPLY=()
  _clawrun
  [ "${COMPREPLY[*]}" = "$N" ]
  [[ $(cr completion zsh) == *'clawrun list --quiet'* ]]
  [[ $(cr completion fish) == *"__fish_seen_subcommand_from resume' -a '(clawrun list --quiet"* ]]
}
