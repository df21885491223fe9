#!/usr/bin/env bats
# rootfs-scripts/ busybox, debian and from-image, what all scripts share, and `clawrun rootfs`; alpine has a suite of its own.
# shellcheck disable=SC2030,SC2031,SC2154  # bats runs each test in a subshell of its own and sets $status, $output

load helper

setup_file() {
  make_place
  if [ "$(id -u)" = 0 ]; then
    export TEST_USER=crroot$$
    useradd --create-home --home-dir "$PLACE/home" --shell /bin/sh "$TEST_USER"
  fi
}

teardown_file() {
  if [ -n "${TEST_USER:-}" ] && getent passwd "$TEST_USER" >/dev/null; then userdel "$TEST_USER"; fi
  drop_place
}

setup() {
  fresh_store
}

# as_user COMMAND...: as an ordinary user, in a session without root's environment.
as_user() {
  if [ -n "${TEST_USER:-}" ]; then
    setpriv --reuid "$TEST_USER" --regid "$TEST_USER" --clear-groups env -i HOME="$PLACE/home" PATH="$PATH" TMPDIR=/tmp "$@"
  else
    env -u CLAWRUN_ROOTFS_STORE HOME="$PLACE/home" "$@"
  fi
}

need_clawrun() {
  [ -x "${CLAWRUN:-}" ] || skip "CLAWRUN does not name the command under test"
}

@test "shellcheck finds nothing" {
  command -v shellcheck >/dev/null || skip "shellcheck is missing"
  cd "$SCRIPTS"
  shellcheck -x alpine busybox cc debian from-image node python lib.sh apk.sh
}

@test "every script has --help and refuses what it does not know" {
  local script
  for script in alpine busybox cc debian from-image node python; do
    run "$SCRIPTS/$script" --help
    [ "$status" = 0 ]
    says "--force"
    run "$SCRIPTS/$script" --no-such-option
    [ "$status" = 2 ]
    says "unknown option --no-such-option"
    run "$SCRIPTS/$script" --name
    [ "$status" = 2 ]
    says "needs a value"
  done
}

@test "names that are none are refused before anything is made" {
  local bad
  for bad in '' . .. ../x a/b -x .x A 'a b' x.meta "$(printf 'a\nb')" "$(printf 'a%.0s' $(seq 65))"; do
    run "$SCRIPTS/busybox" "--name=$bad"
    # An empty name is the default one.
    if [ -z "$bad" ]; then [ "$status" = 0 ]; else [ "$status" = 2 ]; fi
  done
  [ "$(store_names)" = "busybox busybox.meta" ]
}

@test "busybox, under dash and under busybox's own sh" {
  local shell
  for shell in dash 'busybox sh'; do
    # shellcheck disable=SC2086
    run $shell "$SCRIPTS/busybox" --force
    [ "$status" = 0 ]
    is_whole_root "$STORE/busybox"
    [ "$(store_names)" = "busybox busybox.meta" ]
  done
  [ "$(readlink "$STORE/busybox/bin/sh")" = ../bin/busybox ]
  [ "$(readlink "$STORE/busybox/usr/bin/env")" = ../../bin/busybox ]
  local tool
  for tool in $("$STORE/busybox/bin/busybox" --list | grep -vx 'busybox\|linuxrc'); do
    [ -n "$(find "$STORE/busybox" -lname '*busybox' -name "${tool/\[/\\[}")" ]
  done
  [ -z "$(find "$STORE/busybox" -type l ! -exec test -e {} \; -print)" ]
}

@test "busybox: its commands run inside" {
  need_root
  "$SCRIPTS/busybox" --quiet
  [ "$(chroot "$STORE/busybox" /bin/sh -c 'id -un sandbox; ls -d /workspace; env true')" = "$(printf 'sandbox\n/workspace')" ]
}

@test "busybox: a dynamic one and none at all" {
  run "$SCRIPTS/busybox" --binary /bin/ls
  [ "$status" = 1 ]
  says "is dynamically linked"
  says "install the package busybox-static"
  run "$SCRIPTS/busybox" --binary "$SCRIPTS/busybox"
  [ "$status" = 1 ]
  says "is no program (ELF) file"
  run "$SCRIPTS/busybox" --binary /nonexistent
  [ "$status" = 1 ]
  [ -z "$(store_names)" ]
}

@test "busybox: as a user, into the user's own store" {
  run as_user "$SCRIPTS/busybox"
  [ "$status" = 0 ]
  says "$PLACE/home/.local/share/clawrun/rootfs/busybox"
  is_whole_root "$PLACE/home/.local/share/clawrun/rootfs/busybox"
  [ -z "$(find "$PLACE/home/.local" ! -user "${TEST_USER:-$(id -un)}")" ]
  run as_user XDG_DATA_HOME="$PLACE/home/data" "$SCRIPTS/busybox"
  [ "$status" = 0 ]
  [ -d "$PLACE/home/data/clawrun/rootfs/busybox" ]
}

@test "a store that is not ours, or open to others, or not absolute" {
  run "$SCRIPTS/busybox" --store relative
  [ "$status" = 2 ]
  chmod 777 "$STORE"
  run "$SCRIPTS/busybox"
  [ "$status" = 1 ]
  says "can be written by other users"
  need_root
  chmod 755 "$STORE"
  run as_user "$SCRIPTS/busybox" --store "$STORE"
  [ "$status" = 1 ]
  says "belongs to another user"
  mkdir "$PLACE/home/mine"
  chown "$TEST_USER" "$PLACE/home/mine"
  run "$SCRIPTS/busybox" --store "$PLACE/home/mine"
  [ "$status" = 1 ]
  says "belongs to another user"
  [ -z "$(ls -A "$PLACE/home/mine")" ]
}

@test "a full disk: a clear error and nothing left" {
  need_root
  # A mount namespace of its own: the host sees nothing of the small disk.
  # shellcheck disable=SC2016
  run unshare --mount sh -c 'mount -t tmpfs -o size=1m,mode=755 none "$1" && "$2" --store "$1"; code=$?; ls -A "$1" | grep -v "^.lock"; exit $code' \
    sh "$STORE" "$SCRIPTS/busybox"
  [ "$status" = 1 ]
  says "no space left on the filesystem of $STORE"
  case $output in *.tmp-*) false ;; esac
}

@test "what a killed --force left is put back" {
  "$SCRIPTS/busybox" --quiet
  # As it is between the two renames: the old root aside, no root under the name. No process has this pid and start time.
  mkdir "$STORE/.tmp-1-1-busybox"
  mv "$STORE/busybox" "$STORE/.tmp-1-1-busybox/old"
  mkdir "$STORE/.rm-1-other" "$STORE/.tmp-$$-$(sed 's/.*) //' /proc/$$/stat | cut -d ' ' -f 20)-alive"
  touch "$STORE/orphan.meta"
  run "$SCRIPTS/busybox" --name other
  [ "$status" = 0 ]
  is_whole_root "$STORE/busybox"
  [ "$(store_names | sed 's/\.tmp-[0-9-]*/.tmp-/')" = ".tmp-alive busybox busybox.meta other other.meta" ]
}

@test "nothing in a root gives anyone on the host a privilege" {
  local root=$STORE/work/root
  mkdir -p "$root/open" "$root/etc" "$root/dir"
  cp /bin/true "$root/suid"
  chmod 6755 "$root/suid"
  cp /bin/true "$root/caps"
  mkfifo "$root/fifo"
  touch "$root/written"
  chmod 666 "$root/written"
  chmod 1777 "$root/open"
  chmod 0 "$root/dir"
  echo mine >"$PLACE/kept"
  chmod 666 "$PLACE/kept"
  ln -s "$PLACE/kept" "$root/link"
  if [ "$(id -u)" = 0 ]; then
    mknod "$root/null" c 1 3
    chown 1000:1000 "$root/written"
    if command -v setcap >/dev/null; then setcap cap_net_raw+ep "$root/caps"; fi
  fi
  # shellcheck disable=SC2016
  sh -c 'script=test; . "$1/lib.sh"; quiet=yes; store=$2; work=$2/work; finish_root' sh "$SCRIPTS" "$STORE"
  [ -z "$(find "$root" -perm /6000)" ]
  [ -z "$(find "$root" ! -type l -perm /0002)" ]
  [ -z "$(find "$root" ! -type f ! -type d ! -type l)" ]
  [ "$(stat -c %a "$PLACE/kept")" = 666 ]
  [ "$(stat -c %a "$root")" = 755 ]
  if [ "$(id -u)" = 0 ]; then
    [ -z "$(find "$root" ! -user 0)" ]
    if command -v getcap >/dev/null; then [ -z "$(getcap -r "$root")" ]; fi
  fi
}

# make_image ROOT: an OCI layout at $PLACE/image with the directory as its only layer.
make_image() {
  rm -rf "$PLACE/image"
  umoci init --layout "$PLACE/image"
  umoci new --image "$PLACE/image:test"
  local entry rootless=
  if [ "$(id -u)" != 0 ]; then rootless=--rootless; fi
  for entry in "$1"/*; do
    # shellcheck disable=SC2086
    umoci insert $rootless --image "$PLACE/image:test" "$entry" "/${entry##*/}"
  done
  chmod -R a+rX "$PLACE/image"
}

need_image_tools() {
  command -v umoci >/dev/null || skip "umoci is missing"
  command -v skopeo >/dev/null || skip "skopeo is missing"
}

@test "from-image: an OCI layout, as root and as a user" {
  need_image_tools
  local tree=$PLACE/image-tree
  rm -rf "$tree"
  mkdir -p "$tree/bin" "$tree/etc"
  cp "$(command -v busybox)" "$tree/bin/busybox"
  ln -s busybox "$tree/bin/sh"
  printf 'root:x:0:0::/:/bin/sh\nnode:x:1000:1000::/:/bin/sh' >"$tree/etc/passwd"
  make_image "$tree"
  run "$SCRIPTS/from-image" --name mine "oci:$PLACE/image:test"
  [ "$status" = 0 ]
  is_whole_root "$STORE/mine"
  # The image has its own name for the id.
  [ "$(grep -c . "$STORE/mine/etc/passwd")" = 2 ]
  cmp "$STORE/mine/bin/busybox" "$tree/bin/busybox"
  [ "$(sed -n 's/^sha256=//p' "$STORE/mine.meta" | wc -c)" = 65 ]
  [ "$(store_names)" = "mine mine.meta" ]
  run as_user "$SCRIPTS/from-image" --name mine "oci:$PLACE/image:test"
  [ "$status" = 0 ]
  is_whole_root "$PLACE/home/.local/share/clawrun/rootfs/mine"
  # The same image as an archive, and the name taken from it.
  skopeo copy --quiet "oci:$PLACE/image:test" "docker-archive:$PLACE/Saved_Image.tar:x:y"
  run "$SCRIPTS/from-image" "docker-archive:$PLACE/Saved_Image.tar"
  [ "$status" = 0 ]
  is_whole_root "$STORE/saved_image"
}

@test "from-image: links in the image do not reach the host" {
  need_image_tools
  local tree=$PLACE/hostile host=$PLACE/host
  rm -rf "$tree" "$host"
  mkdir -p "$tree/etc" "$tree/usr" "$host/etc" "$host/tmp"
  echo 'root:x:0:0::/:/bin/sh' >"$host/etc/passwd"
  ln -s "$host/etc/passwd" "$tree/etc/passwd"
  ln -s "$host/etc/passwd" "$tree/etc/group"
  ln -s "$host/tmp" "$tree/tmp"
  ln -s "$host/tmp" "$tree/dev"
  ln -s "$host/tmp/made" "$tree/etc/hosts"
  make_image "$tree"
  run "$SCRIPTS/from-image" --name hostile "oci:$PLACE/image:test"
  [ "$status" = 0 ]
  is_whole_root "$STORE/hostile"
  [ "$(cat "$host/etc/passwd")" = 'root:x:0:0::/:/bin/sh' ]
  [ -z "$(ls -A "$host/tmp")" ]
  rm -rf "${tree:?}/etc"
  ln -s "$host/etc" "$tree/etc"
  make_image "$tree"
  run "$SCRIPTS/from-image" --name hostile2 "oci:$PLACE/image:test"
  [ "$status" = 1 ]
  says "/etc of this root is a symbolic link"
  [ "$(store_names)" = "hostile hostile.meta" ]
}

@test "from-image: what is no image, no root, or no reference" {
  need_image_tools
  mkdir -p "$PLACE/flat"
  echo data >"$PLACE/flat/data"
  make_image "$PLACE/flat"
  run "$SCRIPTS/from-image" --name flat "oci:$PLACE/image:test"
  [ "$status" = 1 ]
  says "is no root filesystem: it holds no directory"
  run "$SCRIPTS/from-image" --name none "oci:$PLACE/nonexistent:test"
  [ "$status" = 1 ]
  says "cannot get oci:$PLACE/nonexistent:test"
  run "$SCRIPTS/from-image" alpine:3.22
  [ "$status" = 2 ]
  says "an image of a registry is docker://alpine:3.22"
  run "$SCRIPTS/from-image"
  [ "$status" = 2 ]
  [ -z "$(store_names)" ]
}

@test "a missing tool is named with its package" {
  mkdir -p "$PLACE/few"
  local tool
  for tool in sh dirname readlink id stat find flock mkdir rm sed cut tr uname awk; do ln -sf "$(command -v "$tool")" "$PLACE/few/$tool"; done
  PATH=$PLACE/few run "$SCRIPTS/from-image" --name x oci:/x:y
  says "install the package skopeo"
  PATH=$PLACE/few run "$SCRIPTS/debian"
  says "install the package mmdebstrap"
  PATH=$PLACE/few run "$SCRIPTS/alpine"
  says "install the package coreutils"
}

@test "debian: with mmdebstrap, as root and as a user" {
  command -v mmdebstrap >/dev/null || skip "mmdebstrap is missing"
  local uris
  # shellcheck disable=SC2016
  uris=$(apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' 2>/dev/null | grep ' bookworm$' | head -n 1)
  [ -n "$uris" ] || skip "apt has no mirror of bookworm here"
  timeout 20 apt-get download --print-uris busybox-static >/dev/null 2>&1 || skip "apt's mirror cannot be asked"
  run timeout 120 "$SCRIPTS/debian" --suite bookworm --variant extract --packages busybox-static --mirror "${uris% *}"
  [ "$status" = 0 ]
  is_whole_root "$STORE/debian"
  [ -x "$STORE/debian/bin/busybox" ]
  [ "$(store_names)" = "debian debian.meta" ]
  if as_user unshare --user true 2>/dev/null && command -v newuidmap >/dev/null; then
    run as_user timeout 120 "$SCRIPTS/debian" --suite bookworm --variant extract --packages busybox-static --mirror "${uris% *}"
    [ "$status" = 0 ]
    is_whole_root "$PLACE/home/.local/share/clawrun/rootfs/debian"
    [ -z "$(find "$PLACE/home/.local" ! -user "${TEST_USER:-$(id -un)}")" ]
  fi
  run "$SCRIPTS/debian" --suite nosuchsuite --name none --mirror "${uris% *}"
  [ "$status" = 1 ]
  says "has no suite \"nosuchsuite\""
  [ "$(store_names)" = "debian debian.meta" ]
}

@test "clawrun rootfs list, path and rm" {
  need_clawrun
  "$SCRIPTS/busybox" --quiet
  "$SCRIPTS/busybox" --quiet --name second
  ln -s busybox "$STORE/default"
  run "$CLAWRUN" rootfs list
  [ "$status" = 0 ]
  [ "${#lines[@]}" = 4 ]
  says "default -> busybox"
  [ "$("$CLAWRUN" rootfs list --quiet | tr '\n' ' ')" = "busybox default second " ]
  "$CLAWRUN" rootfs list --json | python3 -c 'import json, sys
roots = json.load(sys.stdin)
assert [r["name"] for r in roots] == ["busybox", "default", "second"], roots
assert roots[0]["script"] == "busybox" and roots[0]["size_bytes"] > 0 and roots[1]["link"] == "busybox", roots'
  [ "$("$CLAWRUN" rootfs path default)" = "$STORE/busybox" ]
  run "$CLAWRUN" rootfs path busibox
  [ "$status" = 1 ]
  says 'did you mean "busybox"?'
  run "$CLAWRUN" rootfs lsit
  [ "$status" = 2 ]
  says 'did you mean "list"?'
  run "$CLAWRUN" rootfs rm default second
  [ "$status" = 0 ]
  [ "$(store_names)" = "busybox busybox.meta" ]
  run "$CLAWRUN" rootfs rm second
  [ "$status" = 1 ]
  run "$CLAWRUN" rootfs rm ../store
  [ "$status" = 1 ]
}

@test "clawrun rootfs as a user: own roots yes, those of root no" {
  need_clawrun
  need_root
  install -m 755 "$CLAWRUN" "$PLACE/clawrun"
  "$SCRIPTS/busybox" --quiet
  run as_user CLAWRUN_ROOTFS_STORE="$STORE" "$PLACE/clawrun" rootfs path busybox
  [ "$output" = "$STORE/busybox" ]
  run as_user CLAWRUN_ROOTFS_STORE="$STORE" "$PLACE/clawrun" rootfs rm busybox
  [ "$status" = 1 ]
  is_whole_root "$STORE/busybox"
  run as_user "$SCRIPTS/busybox" --name own
  [ "$status" = 0 ]
  run as_user "$PLACE/clawrun" rootfs rm own
  [ "$status" = 0 ]
  [ ! -e "$PLACE/home/.local/share/clawrun/rootfs/own" ]
}

@test "clawrun rootfs rm stops at a mount point" {
  need_clawrun
  need_root
  "$SCRIPTS/busybox" --quiet
  mkdir "$PLACE/kept-by-mount"
  touch "$PLACE/kept-by-mount/file"
  # shellcheck disable=SC2016
  run unshare --mount sh -c 'mount --bind "$1" "$2" && exec "$3" rootfs rm busybox' \
    sh "$PLACE/kept-by-mount" "$STORE/busybox/tmp" "$CLAWRUN"
  [ "$status" = 1 ]
  says "is a mount point"
  [ -f "$PLACE/kept-by-mount/file" ]
}
