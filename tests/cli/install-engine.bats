#!/usr/bin/env bats
# tools/install-engine on files of the test's own: what was there stays, and --undo gives it back byte by byte.
# shellcheck disable=SC2154 # bats sets stderr and stderr_lines

bats_require_minimum_version 1.5.0

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  INSTALL=$CLAWRUN_SOURCE/tools/install-engine
}

register() { "$INSTALL" "$1" --config "$2" --runtime "$CLAWRUN" "${@:3}"; }

@test "docker: other settings stay, a second call changes nothing, --undo takes out what was put in" {
  echo '{"debug": true, "runtimes": {"x": {"path": "/x"}}}' >daemon.json
  cp daemon.json before
  run -0 register docker daemon.json --default
  [ "$(jq -r '.runtimes.clawrun.path' daemon.json)" = "$(realpath "$CLAWRUN")" ]
  [ "$(jq -r '[.debug, .runtimes.x.path, ."default-runtime"] | join(" ")' daemon.json)" = 'true /x clawrun' ]
  run -0 register docker daemon.json --default
  [[ $output == *'nothing to do'* ]]
  run -0 "$INSTALL" docker --config daemon.json --undo
  [ "$(jq -cS . daemon.json)" = "$(jq -cS . before)" ]
}

@test "docker: a file that is missing is made, one that is no JSON is left alone" {
  run -0 register docker new/daemon.json
  [ "$(jq -c 'keys' new/daemon.json)" = '["runtimes"]' ]
  echo '{broken' >daemon.json
  run --separate-stderr -1 register docker daemon.json
  [ "${#stderr_lines[@]}" -eq 1 ]
  [[ $stderr == *'is not JSON'* ]]
  [ "$(cat daemon.json)" = '{broken' ]
}

@test "podman: a file of its own, and no other's" {
  run -0 register podman conf.d/50-clawrun.conf --default
  grep -q '^runtime = "clawrun"$' conf.d/50-clawrun.conf
  grep -q "^clawrun = \[\"$(realpath "$CLAWRUN")\"\]$" conf.d/50-clawrun.conf
  run -0 "$INSTALL" podman --config conf.d/50-clawrun.conf --undo
  [ ! -e conf.d/50-clawrun.conf ]
  echo '[engine]' >mine
  run --separate-stderr -1 register podman mine
  [[ $stderr == *'not a file of this command'* ]]
}

@test "containerd: versions 2 and 3, with and without a default, and back again" {
  printf 'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd]\n  default_runtime_name = "runc"\n  snapshotter = "overlayfs"\n' >two
  printf 'version = 3\n' >three
  for file in two three; do
    cp "$file" before
    run -0 register containerd "$file" --default
    [[ $output == *'handler: clawrun'* ]]
    cp "$file" once
    run -0 register containerd "$file" --default
    cmp "$file" once
    python3 -c '
import sys, tomllib
settings = tomllib.load(open(sys.argv[1], "rb"))
plugin = settings["plugins"]["io.containerd.grpc.v1.cri" if settings["version"] == 2 else "io.containerd.cri.v1.runtime"]["containerd"]
assert plugin["default_runtime_name"] == "clawrun", plugin
assert plugin["runtimes"]["clawrun"]["options"]["BinaryName"] == sys.argv[2], plugin' "$file" "$(realpath "$CLAWRUN")"
    run -0 "$INSTALL" containerd --config "$file" --undo
    cmp "$file" before
  done
}

@test "a clawrun that is not there, an engine that is none" {
  run --separate-stderr -1 "$INSTALL" docker --config x --runtime /no/such
  [ "${#stderr_lines[@]}" -eq 1 ]
  [ ! -e x ]
  run -2 "$INSTALL" nerdctl
  run -0 "$INSTALL" --help
  [[ $output == Registers* ]]
}
