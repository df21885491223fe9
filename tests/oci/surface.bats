#!/usr/bin/env bats
# The command line of the verbs over OCI containers, as far as no container is needed. The binary is $CLAWRUN.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

bats_require_minimum_version 1.5.0

VERBS='create start state kill delete run exec ps list pause resume update events features spec checkpoint restore'
# Those that want an id and nothing else.
PLAIN='start state pause resume'

setup_file() {
  : "${CLAWRUN:?set CLAWRUN to the clawrun binary under test}"
  command -v jq >/dev/null || { echo "needs jq" >&2; return 1; }
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  mkdir root
}

# cr WORD…: on an empty root of the test's own.
cr() { "$CLAWRUN" --root "$PWD/root" "$@"; }

# says STATUS PATTERN WORD…: it ends so, with one line on stderr that matches and nothing on stdout.
says() {
  local expected=$1 pattern=$2
  shift 2
  run --separate-stderr "-$expected" cr "$@"
  printf 'clawrun %s\nstdout: %s\nstderr: %s\n' "$*" "$output" "$stderr"
  [ -z "$output" ] && [ "${#stderr_lines[@]}" -eq 1 ] && [[ $stderr == "clawrun: "* ]] && [[ $stderr =~ $pattern ]]
}

@test "--version is what engines read" {
  for word in --version -v -version; do
    run --separate-stderr -0 "$CLAWRUN" "$word"
    [[ ${lines[0]} =~ ^clawrun\ version\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
    [ "${lines[1]}" = 'spec: 1.3.0' ]
    [ -z "$stderr" ]
  done
  # Docker gives its own options first.
  run -0 cr --log log --log-format json --version
  [[ ${lines[0]} == 'clawrun version '* ]]
}

@test "each verb explains itself: --help, -h, -help, help VERB, and behind global options" {
  for verb in $VERBS; do
    run --separate-stderr -0 cr "$verb" --help
    [[ ${lines[0]} == "usage: clawrun [GLOBAL OPTIONS] $verb"* ]]
    [ -z "$stderr" ]
    help=$output
    [ "$help" = "$(cr "$verb" -h)" ]
    [ "$help" = "$(cr "$verb" -help)" ]
    # Podman asks checkpoint so whether there is such a verb.
    run -0 "$CLAWRUN" "$verb" --help
    [[ $output == *"$help" ]]
    [ "$output" = "$("$CLAWRUN" help "$verb")" ]
  done
  run -0 "$CLAWRUN" --help
  for verb in $VERBS; do [[ $output == *"  $verb "* ]]; done
  [[ $output == *--systemd-cgroup* ]]
}

@test "every option of --help is in the section of its verb in the man page" {
  page=$(sed 's/\\f.//g; s/\\-/-/g' "${CLAWRUN_SOURCE:-$BATS_TEST_DIRNAME/../..}/man/clawrun-oci.8")
  for verb in $VERBS; do
    section=$(awk -v verb="$verb" '/^\.S[SH] /{inside = ($0 == ".SS " verb)} inside' <<<"$page")
    [ -n "$section" ] || { echo "no section $verb"; false; }
    for name in $(cr "$verb" --help | sed -n 's/^ *\(-., \)\{0,1\}--\([a-z0-9-]*\).*/\2/p'); do
      grep -Eq -- "--$name([^a-z-]|$)" <<<"$section" || { echo "$verb --$name"; false; }
    done
  done
  globals=$(sed -n '/^.SH GLOBAL/,/^.SH VERBS/p' <<<"$page")
  for name in $("$CLAWRUN" --help | sed -n 's/^ *\(-., \)\{0,1\}--\([a-z-]*\).*/\2/p'); do
    grep -Eq -- "--$name([^a-z-]|$)" <<<"$globals" || { echo "global --$name"; false; }
  done
}

@test "the flags of runc and of crun are known to their verbs" {
  has() {
    local verb=$1 help name
    shift
    help=$(cr "$verb" --help)
    for name; do grep -Eq -- "--$name( |$)" <<<"$help" || { echo "$verb has no --$name"; return 1; }; done
  }
  has create bundle console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds config
  has run bundle console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds config detach keep no-subreaper
  has exec process console-socket pidfd-socket cwd env tty user additional-gids detach pid-file process-label apparmor no-new-privs cap \
    preserve-fds cgroup ignore-paused
  has kill all regex
  has delete force regex
  has list quiet format
  has ps format
  has update resources blkio-weight cpu-period cpu-quota cpu-burst cpu-share cpu-rt-period cpu-rt-runtime cpuset-cpus cpuset-mems memory \
    memory-reservation memory-swap kernel-memory kernel-memory-tcp pids-limit cpu-idle l3-cache-schema mem-bw-schema
  has events stats interval
  has spec bundle rootless config
  has checkpoint image-path work-path parent-path leave-running tcp-established tcp-skip-in-flight ext-unix-sk shell-job file-locks \
    pre-dump manage-cgroups-mode empty-ns lazy-pages page-server status-fd auto-dedup link-remap
  has restore image-path work-path tcp-established ext-unix-sk shell-job file-locks manage-cgroups-mode bundle detach pid-file \
    console-socket no-subreaper no-pivot empty-ns auto-dedup lazy-pages lsm-profile lsm-mount-context
}

@test "a wrong command line is one line, and status 1" {
  for verb in $PLAIN; do
    says 1 "\"$verb\" requires exactly 1 argument" "$verb"
    says 1 "\"$verb\" requires exactly 1 argument" "$verb" a b
    says 1 'flag provided but not defined: -frobnicate' "$verb" --frobnicate a
  done
  says 1 '"create" requires exactly 1' create
  says 1 '"run" requires exactly 1' run --keep a b
  says 1 '"kill" requires 1 or 2' kill
  says 1 '"kill" requires 1 or 2' kill a TERM b
  says 1 '"exec" requires a minimum of 1' exec
  says 1 '"ps" requires a minimum of 1' ps
  says 1 '"list" requires exactly 0' list a
  says 1 'did you mean --bundle' create --bundel b a
  says 1 'not defined: -bundel' create -bundel b a
  says 1 'not defined: -bund' create --bund b a
  says 1 'flag needs an argument: -bundle' create a --bundle
  says 1 'invalid boolean value "maybe"' run --detach=maybe a
  says 1 '--preserve-fds: "-1"' create --preserve-fds -1 a
  says 1 'invalid format option: "xml"' list --format xml
  says 1 'invalid format option: "xml"' ps -f xml a
  says 1 'is not a time' events --interval 5 a
  says 1 'greater than 0' events --interval 0s a
  says 1 'there is no verb "craete"; did you mean "create"' craete a
  says 1 'doctor is no verb over containers' doctor
}

@test "global options that are wrong" {
  run --separate-stderr -1 "$CLAWRUN" --log-format xml state a
  [[ $stderr == 'clawrun: invalid log-format: xml'* ]]
  run --separate-stderr -1 "$CLAWRUN" --rootless perhaps state a
  [[ $stderr == *'--rootless: "perhaps"'* ]]
  run --separate-stderr -1 "$CLAWRUN" --cgroup-manager cgroup state a
  [[ $stderr == *'--cgroup-manager: "cgroup"'* ]]
  run --separate-stderr -1 "$CLAWRUN" --log-level loud state a
  [[ $stderr == *'--log-level: "loud"'* ]]
  run --separate-stderr -1 "$CLAWRUN" --rooot x state a
  [[ $stderr == *'not defined: -rooot; did you mean --root'* ]]
  run --separate-stderr -1 "$CLAWRUN" --root
  [[ $stderr == *'flag needs an argument: -root'* ]]
  run --separate-stderr -1 cr
  [[ $stderr == *'no verb is given'* ]]
}

@test "global options in every form, and twice" {
  for words in "--root=$PWD/root" "-root $PWD/root" "-root=$PWD/root" "--root /none --root root" \
    "--debug --systemd-cgroup --rootless=auto --criu /usr/sbin/criu --log-level warning --cgroup-manager disabled --root root" \
    "--debug=false --systemd-cgroup=false --rootless true --cgroup-manager=cgroupfs --root root"; do
    # shellcheck disable=SC2086 # words
    run --separate-stderr -1 "$CLAWRUN" $words state nobody
    [[ $stderr == 'clawrun: '*'container does not exist'* ]]
  done
}

@test "a container that is not there" {
  for verb in $PLAIN kill ps delete update events; do says 1 'container does not exist' "$verb" nobody; done
  says 255 'container does not exist' exec nobody true
  says 255 'container does not exist' exec --process p.json nobody
  run --separate-stderr -0 cr delete --force nobody
  [ -z "$output$stderr" ]
}

@test "an id is no path" {
  for id in ../root . .. a/b '' 'a b' $'a\n'; do
    for verb in $PLAIN kill delete ps events; do says 1 . "$verb" "$id"; done
    says 255 . exec "$id" true
  done
}

@test "exec without a container and without -- says how a sandbox is started" {
  run --separate-stderr -125 "$CLAWRUN" exec echo hi
  [ "$stderr" = 'clawrun: there is no container "echo"; a fresh sandbox wants -- before its command: clawrun exec -- echo hi' ]
  # With an option that only containers have there is no doubt.
  run --separate-stderr -255 "$CLAWRUN" exec --process p.json no-such-container
  [[ $stderr == *'container does not exist'* ]]
  says 255 'process args cannot be empty' exec nobody
}

@test "kill: signals" {
  for signal in FOO 65 -1x RTMIN+40; do says 1 . kill nobody "$signal"; done
  says 1 'unknown signal "FOO"' kill nobody FOO
  for signal in 9 0 KILL SIGKILL kill sigkill RTMIN+3 SIGRTMAX; do says 1 'container does not exist' kill nobody "$signal"; done
  says 1 'container does not exist' kill --all nobody 9
  says 1 'container does not exist' kill nobody 9 -a
}

@test "update: values" {
  says 1 'invalid value for memory: "lots"' update --memory lots nobody
  says 1 'invalid value for cpu-quota: "much"' update --cpu-quota much nobody
  says 1 'invalid value for cpu-idle' update --cpu-idle 2 nobody
  says 1 'invalid value for blkio-weight' update --blkio-weight 100000 nobody
  says 1 'no such file or directory' update --resources none.json nobody
  says 1 . update --resources - nobody <<<'{"memory":'
  says 1 'memory.limit' update --resources - nobody <<<'{"memory":{"limit":"1"}}'
  says 1 'container does not exist' update --resources=- nobody <<<'{}'
  says 1 'container does not exist' update nobody --memory 64m --memory-swap -1 --cpu-quota=-1 --pids-limit -1
}

@test "list of nothing" {
  run --separate-stderr -0 cr list
  [ "$output" = 'ID          PID         STATUS      BUNDLE      CREATED     OWNER' ]
  run --separate-stderr -0 cr list --quiet
  [ -z "$output" ]
  run --separate-stderr -0 cr list -f json
  [ "$(jq -c . <<<"$output")" = '[]' ]
  run --separate-stderr -0 "$CLAWRUN" --root "$PWD/none" list -q
  [ -z "$output$stderr" ]
  [ ! -e none ]
}

@test "the log: one JSON object, and the same text on stderr" {
  run --separate-stderr -1 cr --log log --log-format json state nobody
  [ "$(wc -l <log)" -eq 1 ]
  jq -e 'keys == ["level", "msg", "time"] and .level == "error" and (.time | test("^2[0-9]{3}-[0-9T:-]+Z$"))' log
  [ "$stderr" = "clawrun: $(jq -r .msg log)" ]
  # It is appended to, and errors of the words come there too.
  run --separate-stderr -1 cr --log=log --log-format=json state --frobnicate nobody
  [ "$(wc -l <log)" -eq 2 ]
  [[ $(tail -n 1 log | jq -r .msg) == *'not defined: -frobnicate'* ]]
  run --separate-stderr -1 cr --log log --log-format json state $'a"\\\e[2J\xff\nb'
  jq -e . log
  [ "$(wc -l <log)" -eq 3 ]
  # What succeeds writes nothing, but the file is there.
  run --separate-stderr -0 cr --log empty --log-format json delete --force nobody
  [ -f empty ] && [ ! -s empty ]
  [ "$(stat -c %a empty)" = "$(printf '%o' $((0644 & ~0$(umask))))" ]
}

@test "the log: text, and without a file" {
  run --separate-stderr -1 cr --log log state nobody
  [[ $(cat log) =~ ^time=\"2[^\"]+Z\"\ level=error\ msg=\".*container\ does\ not\ exist.*\"$ ]]
  run --separate-stderr -1 cr --log-format json state nobody
  jq -e '.level == "error"' <<<"$stderr"
  run --separate-stderr -1 cr --log /dev/stderr state nobody
  [ "${#stderr_lines[@]}" -eq 1 ]
  [[ $stderr == time=* ]]
}

@test "the log: a file that cannot be had is an error, and a link is not followed" {
  ln -s target link
  for file in none/log link .; do
    run --separate-stderr -1 cr --log "$file" delete --force nobody
    [[ $stderr == "clawrun: --log: "* ]]
  done
  [ ! -e target ]
  run --separate-stderr -1 cr --log journald:x state nobody
  [[ $stderr == *'files only'* ]]
}

@test "spec: a starter, once" {
  run --separate-stderr -0 cr spec
  [ -z "$output$stderr" ]
  jq -e '.ociVersion == "1.3.0" and .process.args == ["sh"] and .process.terminal and .process.rlimits == [{type: "RLIMIT_NOFILE", hard: 1024, soft: 1024}]
    and .root == {path: "rootfs", readonly: true} and (.mounts | length) == 7 and ([.linux.namespaces[].type] | contains(["pid", "network", "ipc", "uts", "mount"]))
    and (.linux.maskedPaths | length) == 10 and (.process.capabilities | has("inheritable") | not)' config.json
  before=$(sha256sum config.json)
  says 1 'File config.json exists. Remove it first' spec
  [ "$before" = "$(sha256sum config.json)" ]
  mkdir bundle
  run -0 cr spec --bundle bundle --rootless
  jq -e --argjson uid "$(id -u)" '.linux.uidMappings == [{containerID: 0, hostID: $uid, size: 1}] and ([.linux.namespaces[].type] | contains(["user"]))
    and (.linux.namespaces | all(.type != "network")) and (.linux | has("resources") | not)' bundle/config.json
  run -0 cr spec -b bundle -f other.json
  [ -f bundle/other.json ]
  says 1 'no such file or directory' spec --bundle none
  ln -s "$PWD/elsewhere" link.json
  says 1 'File link.json exists' spec -f link.json
  [ ! -e elsewhere ]
}

@test "spec: what runc writes, but for the names" {
  command -v runc >/dev/null || skip 'runc is not installed'
  for words in '' --rootless; do
    mkdir "ours$words" "theirs$words"
    # shellcheck disable=SC2086 # a word or none
    cr spec --bundle "ours$words" $words
    # shellcheck disable=SC2086
    runc spec --bundle "theirs$words" $words
    # Later runcs name more masked paths.
    same() { jq -S 'del(.ociVersion, .hostname, .linux.maskedPaths)' "$1/config.json"; }
    [ "$(same "ours$words")" = "$(same "theirs$words")" ]
  done
}

@test "features is JSON" {
  run --separate-stderr -0 cr features
  jq -e '.ociVersionMin and .ociVersionMax and (.hooks | length == 6)' <<<"$output"
}

@test "checkpoint and restore check their words" {
  says 1 'not.*soft|"sof"' checkpoint --manage-cgroups-mode sof a
  says 1 'ADDRESS:PORT' checkpoint --page-server nowhere a
  says 1 '"checkpoint" requires exactly 1' checkpoint
  says 1 '"restore" requires exactly 1' restore --image-path x -no-subreaper --bundle b
}

@test "the completions know the verbs and their options" {
  for shell in bash zsh fish; do
    "$CLAWRUN" completion "$shell" >"$shell.comp"
    while read -r verb name _; do
      grep -q -- "${name#--}" "$shell.comp" || { echo "$shell: $verb $name"; false; }
    done < <("$CLAWRUN" __options)
  done
  run bash -c 'source ./bash.comp; COMP_WORDS=(clawrun create --pid); COMP_CWORD=2; _clawrun; echo "${COMPREPLY[*]}"'
  [ "$output" = '--pidfd-socket --pid-file' ]
  run bash -c 'source ./bash.comp; COMP_WORDS=(clawrun chec); COMP_CWORD=1; _clawrun; echo "${COMPREPLY[*]}"'
  [ "$output" = checkpoint ]
}
