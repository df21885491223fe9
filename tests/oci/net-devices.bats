#!/usr/bin/env bats
# linux.netDevices: interfaces that become a container's. Each test has a network namespace of its own as the host's. The binary is $CLAWRUN.
# shellcheck disable=SC2154,SC2016 # bats sets stderr and stderr_lines; what is in single quotes is for shells of the tests

bats_require_minimum_version 1.5.0

setup_file() {
  : "${CLAWRUN:?set CLAWRUN to the clawrun binary under test}"
  command -v jq >/dev/null || { echo "needs jq" >&2; return 1; }
  command -v ip >/dev/null || { echo "needs ip (iproute2)" >&2; return 1; }
  [ "$(id -u)" -eq 0 ] || { echo "needs root" >&2; return 1; }
  export PLACE=$BATS_FILE_TMPDIR
  chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" 2>/dev/null || true
  local root=$PLACE/rootfs
  mkdir -p "$root"/{bin,proc,sys,dev,tmp,etc}
  cp "$(command -v busybox)" "$root/bin/busybox"
  for applet in $("$root/bin/busybox" --list); do [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"; done
  unshare -n true 2>/dev/null || { echo "needs unshare -n" >&2; return 1; }
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  chmod 755 .
  mkdir root
  ID=n$BATS_TEST_NUMBER-$$
  # The host of the tests: never the machine's own namespace. A process each holds it and the one that is joined by path.
  unshare -n sleep 300 >/dev/null 2>&1 3>&- &
  HOST=$!
  unshare -n sleep 300 >/dev/null 2>&1 3>&- &
  POD=$!
  for _ in $(seq 200); do
    [ "$(readlink "/proc/$HOST/ns/net")" != "$(readlink /proc/self/ns/net)" ] &&
      [ "$(readlink "/proc/$POD/ns/net")" != "$(readlink /proc/self/ns/net)" ] && return 0
    sleep 0.02
  done
  return 1
}

teardown() {
  local id
  for id in $("$CLAWRUN" --root "$PWD/root" list --format json 2>/dev/null | jq -r '.[].id'); do
    timeout 20 "$CLAWRUN" --root "$PWD/root" delete --force "$id" || true
  done
  kill "$HOST" "$POD"
  [ -z "$(ls root)" ]
}

host() { nsenter --net="/proc/$HOST/ns/net" "$@"; }
pod() { nsenter --net="/proc/$POD/ns/net" "$@"; }
cr() { host timeout 30 "$CLAWRUN" --root "$PWD/root" "$@"; }

# bundle FILTER: the starter configuration without a terminal, changed by a jq program, in ./bundle.
bundle() {
  rm -rf bundle
  mkdir bundle
  (cd bundle && "$CLAWRUN" spec)
  jq --arg root "$PLACE/rootfs" --arg pod "/proc/$POD/ns/net" --arg host "/proc/$HOST/ns/net" \
    ".process.terminal = false | .root = {path: \$root, readonly: true} | $1" bundle/config.json >new
  mv new bundle/config.json
}

JOIN='(.linux.namespaces[] | select(.type == "network")).path'

# device NAME [MTU]: one end of a pair of the host's; the other one, p_NAME, stays there. Not every kernel has dummy interfaces.
device() {
  host ip link add "$1" mtu "${2:-1500}" type veth peer name "p_$1"
  host ip link set "p_$1" up
}

# furnished NAME: with all that is to be kept of it.
furnished() {
  device "$1"
  host ip link set "$1" mtu 1432 address 02:00:5e:00:53:01 up
  host ip address add 192.0.2.7/25 broadcast 192.0.2.127 label "$1:web" dev "$1"
  host ip address add 192.0.2.8/25 dev "$1"
  host ip address add 198.51.100.1 peer 198.51.100.2/32 noprefixroute dev "$1"
  host ip address add 2001:db8::7/64 nodad dev "$1"
  # These three stay: of another scope, or with an end.
  host ip address add 203.0.113.1/32 scope link dev "$1"
  host ip address add 192.0.2.200/25 valid_lft 500 preferred_lft 500 dev "$1"
  host ip address add 2001:db8:1::9/64 valid_lft 500 preferred_lft 500 nodad dev "$1"
}

# facts NAME: what is to be the same on both sides. IFACE stands for the name.
facts() { jq -cS --arg name "$1" '.[0] | [.mtu, .address, (.flags | index("UP") != null), [.addr_info[] | select(.scope == "global" and .valid_life_time == 4294967295)
  | [.family, .local, .prefixlen, .broadcast, .address, (.label // "" | sub($name; "IFACE")), .noprefixroute, .nodad]]]'; }

@test "a device has its new name, its permanent global addresses, MTU and MAC inside, and is up" {
  furnished try0
  host ip -json address show dev try0 >before
  bundle "$JOIN"' = $pod | .linux.netDevices = {try0: {name: "c0"}} | .process.args = ["true"]'
  run -0 cr run --bundle bundle "$ID"
  [ -z "$output" ]
  run ! host ip link show try0
  pod ip -json address show dev c0 >after
  [ "$(facts try0 <before)" = "$(facts c0 <after)" ]
  [ "$(jq '.[0].addr_info | map(select(.scope == "global")) | length' after)" -eq 4 ]
  [ "$(jq -r '.[0].operstate' after)" = UP ]
  run ! grep -E '203\.0\.113\.1|192\.0\.2\.200|2001:db8:1::9' after
}

@test "two devices, one under its own name, in a new namespace; they end with it" {
  host ip link add va type veth peer name vb
  device try1
  host ip address add 192.0.2.1/24 dev va
  bundle '.linux.netDevices = {va: {}, try1: {name: "va1"}} | .process.args = ["sh", "-c", "ip -o link; ip -o address show va"]'
  run -0 cr run --bundle bundle "$ID"
  [[ $output == *' lo: <LOOPBACK,UP'* && $output == *' va@'*'UP'* && $output == *' va1@'*UP* && $output == *'192.0.2.1/24'* ]]
  [ "$(ls root)" = "" ]
  for _ in $(seq 100); do host ip -o link | grep -q -e vb -e p_try1 || break; sleep 0.05; done
  run -0 host ip -o link
  [ "${#lines[@]}" -eq 1 ]
}

@test "names may be exchanged, and the outer name be taken inside" {
  device one 1401
  device two 1402
  pod ip link add keep mtu 1403 type veth peer name p_keep
  device keep 1404
  bundle "$JOIN"' = $pod | .linux.netDevices = {one: {name: "two"}, two: {name: "one"}, keep: {name: "kept"}} | .process.args = ["true"]'
  run -0 cr run --bundle bundle "$ID"
  [ "$(pod ip -json link | jq -c 'map(select(.ifname | . != "lo" and . != "p_keep") | [.ifname, .mtu]) | sort')" = '[["keep",1403],["kept",1404],["one",1402],["two",1401]]' ]
}

@test "with a user namespace of its own, and through create and start" {
  device try0
  host ip address add 192.0.2.1/24 dev try0
  bundle '.linux.netDevices = {try0: {name: "eth0"}} | .linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 300000, size: 65536}]
    | .linux.gidMappings = .linux.uidMappings | .process.args = ["sleep", "50"]'
  cr create --bundle bundle --pid-file pid "$ID" </dev/null >out 2>&1 3>&- || { cat out; false; }
  run ! host ip link show try0
  run -0 nsenter --net="/proc/$(cat pid)/ns/net" ip -o address show dev eth0
  [[ $output == *192.0.2.1/24* ]]
  cr start "$ID"
  run -0 cr exec "$ID" ip -o link show eth0
  [[ $output == *UP* ]]
  cr delete --force "$ID"
}

@test "refused with one line, and nothing has moved: no device, a taken name, the own namespace, lo" {
  device try0
  host ip link set try0 up
  host ip address add 192.0.2.1/24 dev try0
  host ip -json address show dev try0 >before
  pod ip link add taken type veth peer name p_taken
  for row in '{try0: {}, none9: {}}|linux.netDevices.none9: the runtime'"'"'s network namespace has no interface of this name' \
    '{try0: {name: "taken"}}|linux.netDevices.try0: the container'"'"'s network namespace has an interface "taken" already' \
    '{try0: {name: "lo"}}|has an interface "lo" already' '{lo: {name: "lo2"}, try0: {}}|linux.netDevices.lo: moving it'; do
    bundle "$JOIN"' = $pod | .linux.netDevices = '"${row%%|*}"
    run --separate-stderr -1 cr run --bundle bundle "$ID"
    [ "${#stderr_lines[@]}" -eq 1 ]
    [[ $stderr == *"${row##*|}"* ]]
    [ -z "$(ls root)" ]
    host ip -json address show dev try0 >after
    [ "$(jq '.[0].ifindex' before)$(facts try0 <before)" = "$(jq '.[0].ifindex' after)$(facts try0 <after)" ]
  done
  # A name that only the kernel's own check knows of.
  host ip link property add dev try0 altname taken
  bundle "$JOIN"' = $pod | .linux.netDevices = {try0: {name: "c0"}}'
  run --separate-stderr -1 cr run --bundle bundle "$ID"
  [[ $stderr == *'linux.netDevices.try0: moving it'*'File exists'*'one of its names is taken'* || $stderr == *'file exists'*'one of its names is taken'* ]]
  host ip link show try0
  host ip link property del dev try0 altname taken
  bundle "$JOIN"' = $host | .linux.netDevices = {try0: {}}'
  run --separate-stderr -1 cr run --bundle bundle "$ID"
  [[ $stderr == *"the container's network namespace is the runtime's own"* ]]
  bundle 'del(.linux.namespaces[] | select(.type == "network")) | .linux.netDevices = {try0: {}}'
  run --separate-stderr -1 cr run --bundle bundle "$ID"
  [[ $stderr == *'linux.netDevices: needs a network namespace'* ]]
}

@test "a container that fails later gives its devices back as they were" {
  furnished try0
  device try1
  host ip -json address show dev try0 >before
  local broken where
  printf '#!/bin/sh\nnsenter --net="/proc/$(jq .pid)/ns/net" ip -o link >>%s/seen\nexit 1\n' "$PWD" >hook
  chmod 755 hook
  for broken in '.process.args = ["/no/such/command"]' '.hooks.createRuntime = [{path: "'"$PWD"'/hook", env: ["PATH='"$PATH"'"]}]' \
    '.mounts += [{destination: "/x", type: "no-such-type", source: "x"}]' '.linux.sysctl = {"net.no.such": "1"}'; do
    for where in . "$JOIN = \$pod"; do
      bundle "$where"' | .linux.netDevices = {try0: {name: "c0"}, try1: {name: "c1"}} | '"$broken"
      run --separate-stderr -1 cr run --bundle bundle "$ID"
      [ "${#stderr_lines[@]}" -eq 1 ]
      [[ $stderr != *netDevices* ]]
      host ip -json address show dev try0 >after
      [ "$(facts try0 <before)" = "$(facts try0 <after)" ]
      [ "$(host ip -json link show try1 | jq '.[0].flags | index("UP")')" = null ]
      [ "$(pod ip -o link | wc -l)" -eq 1 ]
      [ -z "$(ls root)" ]
    done
  done
  # They were inside, both times.
  [ "$(grep -c ' c0@.*UP' seen)" -eq 2 ]
  [ "$(grep -c ' c1@.*UP' seen)" -eq 2 ]
}

@test "an address that the container's namespace does not take is an error, and the device is back" {
  furnished try0
  pod sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
  [ "$(pod cat /proc/sys/net/ipv6/conf/default/disable_ipv6)" = 1 ] || skip "no IPv6 here"
  host ip -json address show dev try0 >before
  bundle "$JOIN"' = $pod | .linux.netDevices = {try0: {name: "c0"}}'
  run --separate-stderr -1 cr run --bundle bundle "$ID"
  [ "${#stderr_lines[@]}" -eq 1 ]
  [[ $stderr == *'linux.netDevices.try0: adding its address 2001:db8::7/64: '* ]]
  host ip -json address show dev try0 >after
  [ "$(facts try0 <before)" = "$(facts try0 <after)" ]
  [ "$(pod ip -o link | wc -l)" -eq 1 ]
}

@test "an ordinary user may not, and is told what it needs" {
  id nobody >/dev/null || skip "no user nobody"
  device try0
  cp "$CLAWRUN" clawrun
  chmod 755 clawrun
  chmod 777 root
  bundle ".linux.netDevices = {try0: {}} | .linux.namespaces += [{type: \"user\"}] | .linux.uidMappings = [{containerID: 0, hostID: $(id -u nobody), size: 1}]
    | .linux.gidMappings = [{containerID: 0, hostID: $(id -g nobody), size: 1}] | (.mounts[] | select(.type == \"devpts\")).options -= [\"gid=5\"]"
  mkdir mine
  chown nobody mine
  run --separate-stderr -1 host setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups timeout 30 "$PWD/clawrun" --root "$PWD/mine/root" --cgroup-manager disabled run --bundle bundle "$ID"
  [ "${#stderr_lines[@]}" -eq 1 ]
  [[ $stderr == *'linux.netDevices: '*CAP_NET_ADMIN* ]]
  host ip link show try0
  [ -z "$(ls mine/root)" ]
}

@test "features says that it can" {
  [ "$("$CLAWRUN" features | jq -c '[.linux.netDevices, .linux.intelRdt]')" = '[{"enabled":true},{"enabled":true,"schemata":true,"monitoring":true}]' ]
}
