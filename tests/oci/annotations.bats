#!/usr/bin/env bats
# What crun's annotations do, and what is refused of them. The root file system is busybox. The binary is $CLAWRUN.
# shellcheck disable=SC2154,SC2016 # bats sets stderr; what is in single quotes is for jq and for shells of the tests

bats_require_minimum_version 1.5.0

setup() {
  : "${CLAWRUN:?set CLAWRUN to the clawrun binary under test}"
  command -v jq >/dev/null || { echo "needs jq" >&2; return 1; }
  [ "$(id -u)" -eq 0 ] || { echo "needs root" >&2; return 1; }
  cd "$BATS_TEST_TMPDIR" || return 1
  mkdir -p root rootfs/{bin,proc,sys,dev,tmp}
  cp "$(command -v busybox)" rootfs/bin/busybox
  for applet in sh id sleep true mkdir echo cat; do ln -s busybox "rootfs/bin/$applet"; done
  ID=a$BATS_TEST_NUMBER-$$
}

teardown() {
  timeout 20 "$CLAWRUN" --root "$PWD/root" delete --force "$ID" || true
  [ -z "$(ls root)" ]
}

cr() { timeout 30 "$CLAWRUN" --root "$PWD/root" "$@"; }

# bundle FILTER: the starter configuration without a terminal, changed by a jq program that knows $here, in ./bundle.
bundle() {
  rm -rf bundle
  mkdir bundle
  (cd bundle && "$CLAWRUN" spec)
  jq --arg here "$PWD" ".process.terminal = false | .root = {path: \"\(\$here)/rootfs\", readonly: true} | $1" bundle/config.json >new
  mv new bundle/config.json
}

# refuses NAME VALUE PART: the container with this annotation is not made, and the reason is said in one line.
refuses() {
  bundle ".process.args = [\"true\"] | .annotations[\"$1\"] = \"$2\""
  run --separate-stderr -1 cr run --bundle bundle "$ID"
  [[ $stderr == *"annotations[\"$1\"]: "*"$3"* ]] || { echo "$stderr"; return 1; }
  [ "$(wc -l <<<"$stderr")" -eq 1 ]
  [ -z "$(ls root)" ]
}

@test "hooks of every kind write to the files of run.oci.hooks.stdout and run.oci.hooks.stderr" {
  echo before >out
  local kind hooks='.process.args = ["true"]'
  for kind in prestart createRuntime createContainer poststart poststop; do
    hooks+=" | .hooks.$kind = [{path: \"/bin/sh\", args: [\"sh\", \"-c\", \"echo $kind; echo $kind >&2\"]}]"
  done
  hooks+=' | .hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "echo startContainer; echo startContainer >&2"]}]'
  bundle "$hooks | .annotations = {\"run.oci.hooks.stdout\": \"\(\$here)/out\", \"run.oci.hooks.stderr\": \"\(\$here)/err\"}"
  (umask 0 && cr run --bundle bundle "$ID" </dev/null)
  [ "$(paste -sd, out)" = before,prestart,createRuntime,createContainer,startContainer,poststart,poststop ] || { cat out; return 1; }
  [ "$(paste -sd, err)" = prestart,createRuntime,createContainer,startContainer,poststart,poststop ]
  [ "$(stat -c %a err)" = 600 ]
}

@test "a process has no descriptor of the files that hooks write to" {
  bundle '.process.args = ["sh", "-c", "echo /proc/self/fd/*"] | .annotations["run.oci.hooks.stdout"] = "\($here)/out"
    | .hooks.startContainer = [{path: "/bin/true"}]'
  run --separate-stderr -0 cr run --bundle bundle "$ID" </dev/null
  # The last is the directory itself.
  [ "$output" = '/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3' ]
}

@test "the files that hooks write to are neither links nor anything but files" {
  echo host >victim
  ln -s victim link
  mkfifo fifo
  mkdir directory
  for name in link fifo directory missing/out; do
    for stream in stdout stderr; do refuses "run.oci.hooks.$stream" "$PWD/$name" "$PWD/$name"; done
  done
  refuses run.oci.hooks.stdout /dev/null 'no regular file'
  refuses run.oci.hooks.stdout out 'not an absolute path'
  [ "$(cat victim)" = host ]
}

@test "run.oci.keep_original_groups: the caller's groups stay, in run and in exec, and only when it is 1" {
  bundle '.process.args = ["sleep", "100"] | .process.user.additionalGids = [9] | .annotations["run.oci.keep_original_groups"] = "1"'
  setpriv --groups 0,4,27 "$CLAWRUN" --root "$PWD/root" run --detach --bundle bundle "$ID" </dev/null >/dev/null 2>&1 3>&-
  [ "$(setpriv --groups 0,4,27 "$CLAWRUN" --root "$PWD/root" exec "$ID" id -G)" = '0 4 27' ]
  [ "$(grep Groups: "/proc/$(cr state "$ID" | jq .pid)/status" | tr -s '[:space:]' ' ')" = 'Groups: 0 4 27 ' ]
  cr delete --force "$ID"
  bundle '.process.args = ["id", "-G"] | .process.user.additionalGids = [9] | .annotations["run.oci.keep_original_groups"] = "0"'
  run -0 setpriv --groups 0,4,27 "$CLAWRUN" --root "$PWD/root" run --bundle bundle "$ID"
  [ "$output" = '0 9' ]
  refuses run.oci.keep_original_groups yes 'neither 1 nor 0'
}

@test "run.oci.pidfd_receiver gets the pidfd of the container's process" {
  bundle '.process.args = ["sleep", "100"] | .annotations["run.oci.pidfd_receiver"] = "\($here)/socket"'
  run --separate-stderr -1 cr create --bundle bundle "$ID"
  [[ $stderr == *'run.oci.pidfd_receiver'* ]]
  timeout 20 python3 - >received 3>&- <<'END' &
import os, re, socket
listener = socket.socket(socket.AF_UNIX)
listener.bind("socket")
listener.listen()
connection, _ = listener.accept()
_, fds, _, _ = socket.recv_fds(connection, 100, 1)
print(re.search(r"Pid:\s*(\d+)", open(f"/proc/self/fdinfo/{fds[0]}").read())[1])
END
  for _ in $(seq 200); do [ ! -S socket ] || break; sleep 0.02; done
  cr create --bundle bundle "$ID" </dev/null >/dev/null 2>&1 3>&-
  wait $!
  [ "$(cat received)" = "$(cr state "$ID" | jq .pid)" ]
}

@test "run.oci.seccomp_bpf_data takes the place of linux.seccomp, in run and in exec" {
  # mkdir and mkdirat are answered with ERRNO 99, all else is allowed; of this machine's kind alone.
  local program
  program=$(python3 - <<'END'
import base64, platform, struct
calls = {"x86_64": [83, 258], "aarch64": [34]}[platform.machine()]
code = [(0x20, 0, 0, 0)]
for i, call in enumerate(calls):
    code.append((0x15, len(calls) - i, 0, call))
code += [(6, 0, 0, 0x7FFF0000), (6, 0, 0, 0x00050000 | 99)]
print(base64.b64encode(b"".join(struct.pack("=HBBI", *one) for one in code)).decode())
END
)
  bundle ".process.args = [\"sleep\", \"100\"] | .annotations[\"run.oci.seccomp_bpf_data\"] = \"$program\"
    | .linux.seccomp = {defaultAction: \"SCMP_ACT_ERRNO\"}"
  cr run --detach --bundle bundle "$ID" </dev/null >/dev/null 2>&1 3>&-
  [ "$(awk '/^Seccomp:/ { print $2 }' "/proc/$(cr state "$ID" | jq .pid)/status")" = 2 ]
  run -1 cr exec "$ID" mkdir /tmp/x
  [[ $output == *'Cannot assign requested address'* ]]
  cr delete --force "$ID"
  refuses run.oci.seccomp_bpf_data 'BgAA' 'instructions of 8 bytes'
  refuses run.oci.seccomp_bpf_data '!' 'not base64'
}

@test "run.oci.mount_context_type is one of four, and becomes the option of the label" {
  refuses run.oci.mount_context_type other 'none of context, fscontext'
  [ ! -e /sys/fs/selinux/enforce ] || skip 'with SELinux the label is taken'
  # Without SELinux the kernel knows no such option, and the error says which one was tried.
  bundle '.process.args = ["true"] | .annotations["run.oci.mount_context_type"] = "rootcontext" | .linux.mountLabel = "u:r:t:s0"'
  run --separate-stderr -1 cr run --bundle bundle "$ID"
  [[ $stderr == *'rootcontext=u:r:t:s0'* ]] || { echo "$stderr"; return 1; }
}

@test "what clawrun does not do is refused with the reason" {
  refuses run.oci.handler krun 'only clawrun itself is a handler'
  refuses run.oci.seccomp.plugins /p.so 'listenerPath'
  refuses run.oci.systemd.force_cgroup_v1 /sys/fs/cgroup 'hierarchies are those of the host'
  refuses run.oci.systemd.subgroup sub 'no cgroup below it'
  refuses run.oci.delegate-cgroup sub 'there is none below it'
  refuses run.oci.timens_offset '7 1 0' 'linux.timeOffsets'
  bundle '.process.args = ["true"] | .annotations = {"run.oci.handler": "clawrun", "run.oci.systemd.subgroup": "", "run.oci.unheard": "x"}'
  cr run --bundle bundle "$ID" </dev/null
}

@test "features lists the annotations that not everybody may set" {
  cr features | jq -e '.potentiallyUnsafeConfigAnnotations | (. == sort) and ((["run.oci.hooks.stdout", "run.oci.keep_original_groups"] - .) == [])
    and ((["run.oci.handler"] - .) != [])'
}
