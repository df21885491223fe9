#!/usr/bin/env bats
# What the verbs do with real containers, as root and as an ordinary user. The root file system is busybox. The binary is $CLAWRUN.
# shellcheck disable=SC2154,SC2016 # bats sets stderr and stderr_lines; what is in single quotes is for shells of the tests

bats_require_minimum_version 1.5.0

setup_file() {
  : "${CLAWRUN:?set CLAWRUN to the clawrun binary under test}"
  command -v jq >/dev/null || { echo "needs jq" >&2; return 1; }
  [ "$(id -u)" -eq 0 ] || { echo "needs root" >&2; return 1; }
  export PLACE=$BATS_FILE_TMPDIR
  chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" 2>/dev/null || true
  local root=$PLACE/rootfs
  mkdir -p "$root"/{bin,proc,sys,dev,tmp,etc,root,home/user,mnt}
  cp "$(command -v busybox)" "$root/bin/busybox"
  for applet in $("$root/bin/busybox" --list); do [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"; done
  printf 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' >"$root/etc/passwd"
  cp "$CLAWRUN" "$PLACE/clawrun"
  chmod 755 "$PLACE/clawrun"
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  chmod 755 .
  mkdir root
  ID=t$BATS_TEST_NUMBER-$$
}

teardown() {
  local id
  for id in $("$CLAWRUN" --root "$PWD/root" list --format json 2>/dev/null | jq -r '.[].id'); do
    timeout 20 "$CLAWRUN" --root "$PWD/root" delete --force "$id" || true
  done
  [ -z "$(ls root)" ]
}

cr() { timeout 30 "$CLAWRUN" --root "$PWD/root" "$@"; }

# bundle FILTER: the starter configuration without a terminal, changed by a jq program, in ./bundle.
bundle() {
  rm -rf bundle
  mkdir bundle
  (cd bundle && "$CLAWRUN" spec)
  jq --arg root "$PLACE/rootfs" ".process.terminal = false | .root = {path: \$root, readonly: true} | ${1:-.}" bundle/config.json >new
  mv new bundle/config.json
}

# created OPTION…: the container has stdio of its own, or bats would wait for the end of it.
created() { cr create --bundle bundle "$@" "$ID" </dev/null >out 2>err 3>&- || { cat err; return 1; }; }

status_of() { cr state "$ID" | jq -r .status; }

# wait_for STATUS
wait_for() {
  for _ in $(seq 200); do
    [ "$(status_of)" = "$1" ] && return 0
    sleep 0.02
  done
  echo "still $(status_of)"
  return 1
}

@test "run passes output and exit status on, and leaves nothing" {
  bundle '.process.args = ["sh", "-c", "echo out; echo err >&2; exit 7"]'
  run --separate-stderr -7 cr run --bundle bundle "$ID"
  [ "$output" = out ]
  [ "$stderr" = err ]
  [ -z "$(ls root)" ]
  bundle '.process.args = ["sh", "-c", "sh -c \"kill -9 \\$\\$\"; exit $?"]'
  run -137 cr run --bundle bundle "$ID"
}

@test "create, state, start, exec, pause, kill, delete: each does its part and says nothing" {
  bundle '.process.args = ["sleep", "100"]'
  created --pid-file pid
  [ "$(wc -c <pid)" -eq "$(tr -d '\n' <pid | wc -c)" ]
  [ "$(stat -c %a pid)" = 644 ]
  [ "$(status_of)" = created ]
  [ "$(cr state "$ID" | jq .pid)" = "$(cat pid)" ]
  # The process waits, and is not the command yet.
  [ "$(tr '\0' ' ' <"/proc/$(cat pid)/cmdline")" != "sleep 100 " ]
  run -0 cr start "$ID"
  [ -z "$output" ]
  [ "$(status_of)" = running ]
  [ "$(tr '\0' ' ' <"/proc/$(cat pid)/cmdline")" = "sleep 100 " ]
  run --separate-stderr -1 cr start "$ID"
  [[ $stderr == *'cannot start an already running container'* ]]
  run -5 cr exec "$ID" sh -c 'id -u; exit 5'
  [ "$output" = 0 ]
  run -0 cr ps --format json "$ID"
  [ "$(jq length <<<"$output")" -eq 1 ]
  run -0 cr pause "$ID"
  [ "$(status_of)" = paused ]
  run --separate-stderr -255 cr exec "$ID" true
  [[ $stderr == *'paused'* ]]
  run -0 cr resume "$ID"
  run --separate-stderr -1 cr delete "$ID"
  [[ $stderr == *"cannot delete container $ID that is not stopped: running"* ]]
  run -0 cr kill "$ID" KILL
  wait_for stopped
  [ "$(cr state "$ID" | jq .pid)" = 0 ]
  run --separate-stderr -1 cr kill "$ID"
  [[ $stderr == *'container not running'* ]]
  run -0 cr delete "$ID"
  run --separate-stderr -1 cr state "$ID"
  [[ $stderr == *'container does not exist'* ]]
  run -0 cr delete --force "$ID"
}

@test "a command that is not there is said in the words that engines read, at create" {
  for row in 'nosuch|executable file not found in $PATH' '/nosuch|stat /nosuch: no such file or directory' '/etc|permission denied'; do
    bundle ".process.args = [\"${row%%|*}\"]"
    run --separate-stderr -1 cr --log log --log-format json create --bundle bundle "$ID"
    [[ $stderr == *"exec: \"${row%%|*}\": ${row#*|}"* ]]
    [ "$(jq -s length log)" -eq 1 ]
    [[ $(jq -r .msg log) == *"${row#*|}"* ]]
    [ "$(jq -r .level log)" = error ]
    rm log
    [ -z "$(ls root)" ]
  done
  bundle '.process.args = ["sleep", "100"]'
  created
  cr start "$ID"
  run --separate-stderr -255 cr exec "$ID" nosuch
  [[ $stderr == *'executable file not found in $PATH'* ]]
}

@test "a script without its interpreter fails at start, with the reason" {
  mkdir -p "$PLACE/rootfs/opt"
  printf '#!/no/such/interpreter\n' >"$PLACE/rootfs/opt/script"
  chmod 755 "$PLACE/rootfs/opt/script"
  bundle '.process.args = ["/opt/script"]'
  created
  run --separate-stderr -1 cr start "$ID"
  [[ $stderr == *'no such file or directory'* && $stderr == *interpreter* ]]
}

@test "hooks of all six kinds, in order, with their own environment and state" {
  printf '#!/bin/sh\n{ printf "%%s " "$1"; cat | sed "s/.*\\"status\\":\\"\\([a-z]*\\)\\".*/\\1/"; echo; env | sort | grep -v -e PWD -e SHLVL -e ^_= || true; } >>%s/hooks\n' "$PWD" >hook
  chmod 755 hook
  mkdir -p "$PLACE/rootfs/opt"
  printf '#!/bin/sh\ncat >/dev/null\nexit 0\n' >"$PLACE/rootfs/opt/hook"
  chmod 755 "$PLACE/rootfs/opt/hook"
  bundle "(\"$PWD/hook\") as \$h | .process.env += [\"LD_PRELOAD=/evil.so\"] | .process.args = [\"true\"] | .hooks = {prestart: [{path: \$h, args: [\"h\", \"prestart\"]}],
    createRuntime: [{path: \$h, args: [\"h\", \"createRuntime\"], env: [\"A=b\"]}], createContainer: [{path: \$h, args: [\"h\", \"createContainer\"]}],
    startContainer: [{path: \"/opt/hook\"}], poststart: [{path: \$h, args: [\"h\", \"poststart\"]}], poststop: [{path: \$h, args: [\"h\", \"poststop\"]}]}"
  run -0 cr run --bundle bundle "$ID"
  [ "$(tr '\n' ' ' <hooks | tr -s ' ')" = 'prestart creating createRuntime creating A=b createContainer creating poststart running poststop stopped ' ]
}

@test "a hook that fails ends the container: its kind, number, status and output are in the message" {
  printf '#!/bin/sh\necho because >&2\nexit 3\n' >hook
  chmod 755 hook
  for kind in prestart createRuntime createContainer poststart; do
    bundle ".process.args = [\"sleep\", \"100\"] | .hooks = {$kind: [{path: \"$PWD/hook\"}]}"
    run --separate-stderr -1 cr run --bundle bundle "$ID"
    [[ $stderr == *"error running $kind hook #0: exit status 3"*because* ]]
    [ -z "$(ls root)" ]
  done
  bundle ".process.args = [\"true\"] | .hooks = {createRuntime: [{path: \"/bin/sleep\", args: [\"sleep\", \"100\"], timeout: 1}]}"
  run --separate-stderr -1 cr run --bundle bundle "$ID"
  [[ $stderr == *createRuntime* && $stderr == *time* ]]
}

@test "capabilities, no_new_privs, ids, groups, umask, limits, oom score, environment, directory" {
  bundle '.process.user = {uid: 1000, gid: 1000, additionalGids: [5, 6], umask: 63} | .process.cwd = "/tmp"
    | .process.env = ["PATH=/bin", "A=b"] | .process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200}] | .process.oomScoreAdj = 500
    | .process.capabilities = {bounding: ["CAP_CHOWN"], effective: ["CAP_CHOWN"], permitted: ["CAP_CHOWN"], inheritable: ["CAP_CHOWN"], ambient: ["CAP_CHOWN"]}
    | .process.args = ["sh", "-c", "id -u; id -G; umask; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; pwd; env | grep -e ^A -e ^HOME | sort; grep -e Cap -e NoNew /proc/self/status | cut -f2"]'
  run -0 cr run --bundle bundle "$ID"
  [ "${lines[*]}" = "1000 1000 5 6 0077 100 200 500 /tmp A=b HOME=/home/user 0000000000000001 0000000000000001 0000000000000001 0000000000000001 0000000000000001 1" ]
}

@test "masked and read-only paths, a read-only root, devices by their numbers" {
  bundle '.process.args = ["sh", "-c", "cat /proc/keys | wc -c; ls /sys/firmware | wc -l; echo x 2>/dev/null >/x; echo $?; echo x 2>/dev/null >/proc/sys/kernel/domainname; echo $?; cd /dev; stat -c %n:%t:%T null zero full random urandom tty; ls -l fd ptmx | sed s/.*-.//"]'
  run -0 cr run --bundle bundle "$ID"
  [ "${lines[*]}" = "0 0 1 1 null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0  /proc/self/fd  pts/ptmx" ]
}

@test "nothing of the caller's is open in the container but stdio and what --preserve-fds names" {
  bundle '.process.args = ["sh", "-c", "ls /proc/self/fd | wc -l; cat <&4 2>/dev/null"]'
  echo secret >secret
  run -1 cr run --bundle bundle "$ID" 5<secret 6<secret
  # Three, and the one that lists.
  [ "${lines[0]}" -eq 4 ]
  bundle '.process.args = ["cat", "/proc/self/fd/4"]'
  run -0 bash -c 'exec 3</dev/null 4<secret; timeout 30 "$1" --root "$PWD/root" run --preserve-fds 2 --bundle bundle "$2"' bash "$CLAWRUN" "$ID"
  [ "$output" = secret ]
  run --separate-stderr -1 bash -c 'exec 3<&- 4<&-; timeout 30 "$1" --root "$PWD/root" run --preserve-fds 2 --bundle bundle "$2"' bash "$CLAWRUN" "$ID"
  [[ $stderr == *preserve* ]]
}

@test "a user namespace with its own ids, and one joined by its path" {
  bundle '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = .linux.uidMappings
    | .process.args = ["sh", "-c", "id -u; tr -s \" \" </proc/self/uid_map; stat -c %u:%g /dev/mqueue /dev/pts /tmp"]'
  run -0 cr run --bundle bundle "$ID"
  [ "${lines[*]}" = "0  0 100000 65536 0:0 0:0 65534:65534" ]
  unshare --user --map-root-user --net sleep 60 3>&- &
  other=$!
  sleep 0.3
  bundle ".linux.namespaces |= map(if .type == \"network\" then .path = \"/proc/$other/ns/net\" else . end) | .linux.namespaces += [{type: \"user\", path: \"/proc/$other/ns/user\"}]
    | (.mounts[] | select(.type == \"devpts\")).options -= [\"gid=5\"] | .process.args = [\"readlink\", \"-f\", \"/proc/self/ns/net\"]"
  run cr run --bundle bundle "$ID"
  expected=$(readlink "/proc/$other/ns/net")
  kill "$other"
  [ "$status" -eq 0 ]
  [[ $output == *"${expected}" ]]
}

@test "namespaces: a joined network, a time offset, the names of the host" {
  unshare --net sleep 60 3>&- &
  other=$!
  sleep 0.3
  bundle ".linux.namespaces |= map(if .type == \"network\" then .path = \"/proc/$other/ns/net\" else . end) | .linux.namespaces += [{type: \"time\"}]
    | .linux.timeOffsets = {boottime: {secs: 1000000}} | .hostname = \"h1\" | .domainname = \"d1\"
    | .process.args = [\"sh\", \"-c\", \"readlink -f /proc/self/ns/net; cut -d. -f1 /proc/uptime; hostname; cat /proc/sys/kernel/domainname\"]"
  run cr run --bundle bundle "$ID"
  expected=$(readlink "/proc/$other/ns/net")
  kill "$other"
  [ "$status" -eq 0 ]
  [[ ${lines[0]} == *"$expected" ]]
  [ "${lines[1]}" -gt 1000000 ]
  [ "${lines[2]} ${lines[3]}" = 'h1 d1' ]
}

@test "a terminal goes to the console socket with its size, and /dev/console is it" {
  command -v python3 >/dev/null || skip "needs python3"
  bundle '.process.terminal = true | .process.consoleSize = {height: 33, width: 77} | .process.args = ["sh", "-c", "tty; stty size; echo there >/dev/console"]'
  cat >receive.py <<'EOF'
import array, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind("console")
server.listen(1)
connection, _ = server.accept()
name, ancillary, _, _ = connection.recvmsg(100, 100)
fd = array.array("i", ancillary[0][2])[0]
while True:
    try:
        data = os.read(fd, 1000)
    except OSError:
        break
    if not data:
        break
    sys.stdout.write(data.decode().replace("\r", ""))
EOF
  timeout 20 python3 receive.py >terminal 3>&- &
  receiver=$!
  for _ in $(seq 100); do [ -S console ] && break; sleep 0.02; done
  run -0 cr create --bundle bundle --console-socket console "$ID" 3>&-
  run -0 cr start "$ID"
  wait "$receiver"
  [ "$(tr '\n' ' ' <terminal)" = '/dev/pts/0 33 77 there ' ]
  run --separate-stderr -1 cr create --bundle bundle "$ID-2"
  [[ $stderr == *'console socket'* ]]
}

@test "limits are written where the kernel has them, and update changes them" {
  bundle '.linux.resources = {memory: {limit: 67108864}, pids: {limit: 50}, cpu: {shares: 512}} | .process.args = ["sleep", "100"]'
  created
  cr start "$ID"
  run -0 cr events --stats "$ID"
  [ "$(jq .data.memory.usage.limit <<<"$output")" -eq 67108864 ]
  [ "$(jq .data.pids.limit <<<"$output")" -eq 50 ]
  [ "$(jq .data.pids.current <<<"$output")" -eq 1 ]
  run -0 cr update --memory 32m --pids-limit 20 "$ID"
  [ "$(cr events --stats "$ID" | jq .data.memory.usage.limit)" -eq 33554432 ]
  echo '{"pids": {"limit": 30}}' | cr update --resources - "$ID"
  [ "$(cr events --stats "$ID" | jq .data.pids.limit)" -eq 30 ]
}

@test "a seccomp profile of the configuration holds, also in exec" {
  bundle '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 95}]} | .root.readonly = false
    | .process.args = ["sh", "-c", "mkdir /tmp/a; grep Seccomp: /proc/self/status; sleep 100"]'
  created
  cr start "$ID"
  for _ in $(seq 100); do grep -q Seccomp out && break; sleep 0.02; done
  grep -q 'not supported' err
  grep -q '2$' out
  run -1 cr exec "$ID" mkdir /tmp/b
  [[ $output == *'not supported'* ]]
}

@test "run.clawrun.landlock: what it leaves writable, in the container and in exec, and words that it does not know" {
  "$CLAWRUN" doctor 2>/dev/null | grep -qi 'landlock.*no ' && skip "this kernel has no Landlock"
  bundle '.annotations = {"run.clawrun.landlock": "rw:/tmp no-tcp"} | .root.readonly = false | .mounts += [{destination: "/mnt", type: "tmpfs", source: "tmpfs"}, {destination: "/tmp", type: "tmpfs", source: "tmpfs"}]
    | .process.args = ["sh", "-c", "echo x >/tmp/x; echo $?; echo x >/mnt/x; echo $?; echo x >/etc/x; echo $?; echo x >/dev/null; echo $?; nc -w 1 127.0.0.1 9; sleep 100"]'
  created
  cr start "$ID"
  for _ in $(seq 100); do [ "$(wc -l <out)" -eq 4 ] && break; sleep 0.02; done
  sleep 0.1
  [ "$(tr '\n' ' ' <out)" = '0 1 1 0 ' ]
  [ "$(grep -c 'Permission denied' err)" -eq 3 ]
  run -1 cr exec "$ID" touch /mnt/y
  [[ $output == *'Permission denied'* ]]
  run -0 cr exec "$ID" touch /tmp/y
  bundle '.annotations = {"run.clawrun.landlock": "everything"}'
  run --separate-stderr -1 cr create --bundle bundle "$ID-2"
  [[ $stderr == *run.clawrun.landlock*everything* ]]
}

@test "NOTIFY_SOCKET: the container's READY=1 reaches the manager with its pid, and start waits for it" {
  command -v python3 >/dev/null || skip "needs python3"
  bundle '.process.args = ["sleep", "100"]'
  cat >manager.py <<'EOF'
import json, os, socket, subprocess, sys
clawrun, ident = sys.argv[1:]
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind("manager")
manager.settimeout(10)
environment = dict(os.environ, NOTIFY_SOCKET=os.path.abspath("manager"))
runtime = [clawrun, "--root", os.path.abspath("root")]
subprocess.run([*runtime, "create", "--bundle", "bundle", ident], env=environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
start = subprocess.Popen([*runtime, "start", ident], env=environment)
pid = json.loads(subprocess.run([*runtime, "state", ident], capture_output=True).stdout)["pid"]
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
inside = f"/proc/{pid}/root/run/notify/notify.sock"
while not os.path.exists(inside):
    pass
sender.sendto(b"STATUS=soon", inside)
assert start.poll() is None
sender.sendto(b"STATUS=now\nREADY=1", inside)
assert manager.recv(100).decode() == f"READY=1\nMAINPID={pid}"
barrier, ancillary, _, _ = manager.recvmsg(100, 100)
assert barrier == b"BARRIER=1"
os.close(int.from_bytes(ancillary[0][2][:4], sys.byteorder))
assert start.wait(10) == 0
environ = open(f"/proc/{pid}/environ").read()
assert "NOTIFY_SOCKET=/run/notify/notify.sock" in environ
EOF
  timeout 30 python3 manager.py "$CLAWRUN" "$ID" 3>&-
}

@test "exec: user, directory, environment, capabilities, a process file, detached" {
  bundle '.process.args = ["sleep", "100"]'
  created
  cr start "$ID"
  run -0 cr exec --user 1000:1001 --cwd /tmp --env A=c --env B=d --additional-gids 7 "$ID" sh -c 'id -u; id -g; id -G; pwd; echo $A$B'
  [ "${lines[*]}" = '1000 1001 1001 7 /tmp cd' ]
  run -0 cr exec --cap CAP_NET_RAW "$ID" grep -e CapInh -e CapPrm /proc/self/status
  [[ ${lines[0]} == *0000000000000000 && ${lines[1]} == *2*0000000000002420* || ${lines[1]} == *20002420 ]]
  for word in 1000: +0 0x0 root ' 1' 4294967295 -1; do run -255 cr exec --user "$word" "$ID" true || run -1 cr exec --user "$word" "$ID" true; done
  echo '{"args": ["sh", "-c", "exit 9"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]}' >process.json
  run -9 cr exec --process process.json "$ID"
  cr exec --detach --pid-file pid "$ID" sleep 50 </dev/null >/dev/null 2>&1 3>&-
  [ "$(cr ps --format json "$ID" | jq length)" -eq 2 ]
  grep -q sleep "/proc/$(cat pid)/cmdline"
}

@test "what this runtime cannot give is an error that names its place, and so is what is wrong" {
  for row in '.linux.intelRdt = {closID: "no-such-group"}|linux.intelRdt' '.linux.netDevices = {eth9: {}}|linux.netDevices' '.process.user.uid = "1000"|process.user.uid' \
    '.root.path = "/no/such/root"|root.path' '.linux.sysctl = {"kernel.core_pattern": "x"}|linux.sysctl' '.ociVersion = "2.0.0"|ociVersion' \
    '.mounts += [{destination: "/proc/self/attr", type: "tmpfs", source: "tmpfs"}]|inside /proc' '.process.args = []|process.args'; do
    bundle "${row%%|*}"
    run --separate-stderr -1 cr run --bundle bundle "$ID"
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == *"${row##*|}"* ]]
    [ -z "$(ls root)" ]
  done
}

@test "mounts: binds, options, propagation, a file, tmpcopyup, a copied link" {
  mkdir source
  echo content >source/file
  ln -s /target source/link
  mkdir -p "$PLACE/rootfs/data"
  echo below >"$PLACE/rootfs/data/kept"
  bundle ".mounts += [{destination: \"/mnt\", type: \"bind\", source: \"$PWD/source\", options: [\"rbind\", \"ro\", \"nosuid\", \"rslave\"]},
    {destination: \"/etc/file\", type: \"bind\", source: \"$PWD/source/file\", options: [\"bind\"]}, {destination: \"/data\", type: \"tmpfs\", source: \"tmpfs\", options: [\"tmpcopyup\", \"size=1m\"]},
    {destination: \"/linked\", type: \"bind\", source: \"$PWD/source/link\", options: [\"bind\", \"copy-symlink\"]}] | .root.readonly = false
    | .process.args = [\"sh\", \"-c\", \"cat /mnt/file /etc/file /data/kept; echo x >/mnt/x; echo y >/data/y && ls /data; readlink /linked; grep ' /mnt ' /proc/self/mountinfo | cut -d' ' -f6\"]"
  run -0 cr run --bundle bundle "$ID"
  [[ "${lines[*]}" == 'content content below '*'Read-only file system kept y /target ro,nosuid,'* ]]
  [ ! -e "$PLACE/rootfs/data/y" ]
  rm -f "$PLACE/rootfs/linked"
}

@test "an ordinary user runs a container of its own" {
  id nobody >/dev/null || skip "no user nobody"
  bundle ".linux.namespaces |= (map(select(.type != \"network\")) + [{type: \"user\"}]) | .linux.uidMappings = [{containerID: 0, hostID: $(id -u nobody), size: 1}] | .linux.gidMappings = [{containerID: 0, hostID: $(id -g nobody), size: 1}]
    | (.mounts[] | select(.type == \"devpts\")).options -= [\"gid=5\"] | .mounts |= map(select(.type != \"sysfs\" and .type != \"cgroup\"))
    | del(.linux.resources) | .process.args = [\"sh\", \"-c\", \"id -u; stat -c %t:%T /dev/null\"]"
  chown -R nobody root bundle
  run -0 timeout 30 setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups "$PLACE/clawrun" --root "$PWD/root" run --bundle bundle "$ID"
  [ "${lines[*]}" = '0 1:3' ]
}

@test "what exec shows of the runtime: a container is found before a sandbox, and -- makes one" {
  run --separate-stderr -255 cr exec nosuch true
  [[ $stderr == *"-- "* || $stderr == *'does not exist'* ]]
  run -0 "$CLAWRUN" exec -- true
}

@test "capabilities of unknown names are ignored with a warning: on standard error, or in the log, which an error has for itself" {
  bundle '.process.capabilities.bounding = ["CAP_KILL", "CAP_NEW", "kill"] | .process.capabilities.permitted = ["CAP_NEW", "CAP_KILL"] | .process.capabilities.effective = []
    | .process.capabilities.ambient = [] | .process.args = ["grep", "-e", "CapPrm", "-e", "CapBnd", "/proc/self/status"]'
  local warning='process.capabilities: ignoring unknown capabilities: "CAP_NEW", "kill"'
  run --separate-stderr -0 cr run --bundle bundle "$ID"
  [[ $output == *$'CapPrm:\t0000000000000020'*$'CapBnd:\t0000000000000020' ]]
  [ "$stderr" = "clawrun: warning: $warning" ]
  run --separate-stderr -0 cr --log log --log-format json run --bundle bundle "$ID"
  [ -z "$stderr" ]
  [ "$(jq -r '.level + " " + .msg' log)" = "warning $warning" ]
  echo '{"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "capabilities": {"bounding": ["CAP_FUTURE"]}}' >process.json
  bundle '.process.args = ["sleep", "50"]'
  created
  cr start "$ID"
  run --separate-stderr -0 cr exec --process process.json "$ID"
  [[ $stderr == *'"CAP_FUTURE"' ]]
  cr delete --force "$ID"
  bundle '.process.capabilities.bounding = ["CAP_NEW"] | .process.args = ["/no/such"]'
  run --separate-stderr -1 cr --log errors --log-format json create --bundle bundle "$ID"
  [ "$(jq -s 'map(.level)' -c errors)" = '["error"]' ]
}

@test "linux.intelRdt: without resctrl the error says what is missing; without the member resctrl is left alone" {
  grep -q ' - resctrl ' /proc/self/mountinfo && skip "resctrl is mounted here"
  bundle '.linux.intelRdt = {schemata: ["L3:0=f"], enableMonitoring: true}'
  run --separate-stderr -1 cr run --bundle bundle "$ID"
  [ "${#stderr_lines[@]}" -eq 1 ]
  [[ $stderr == *'linux.intelRdt: '*'this kernel has no resctrl on this processor'* || $stderr == *'linux.intelRdt: '*'mount -t resctrl'* ]]
  [ -z "$(ls root)" ]
  bundle '.process.args = ["sleep", "50"]'
  created
  run --separate-stderr -1 cr update --l3-cache-schema L3:0=f "$ID"
  [[ $stderr == *"container $ID has no group in resctrl: its config.json has no linux.intelRdt"* ]]
  run -0 cr events --stats "$ID"
  [ "$(jq -c .data.intel_rdt <<<"$output")" = '{}' ]
}
