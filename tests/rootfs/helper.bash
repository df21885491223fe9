# shellcheck shell=bash
# shellcheck disable=SC2154  # bats sets $output
# What the suites of the root filesystem scripts share. $SCRIPTS: the scripts under test; $CLAWRUN: the command.

# make_place: a directory of this suite's own, with a copy of the scripts that an ordinary user can read.
make_place() {
  local here
  here=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  export PLACE TESTS=$here/tests/rootfs
  PLACE=$(mktemp -d /tmp/clawrun-rootfs.XXXXXX)
  chmod 755 "$PLACE"
  export SCRIPTS=$PLACE/scripts
  cp -r "${CLAWRUN_ROOTFS_SCRIPTS:-$here/rootfs-scripts}" "$SCRIPTS"
  chmod -R a+rX "$SCRIPTS"
  unset CLAWRUN_ROOTFS_STORE XDG_DATA_HOME
}

drop_place() {
  if [ "$(id -u)" != 0 ]; then chmod -R u+rwX "$PLACE" 2>/dev/null || true; fi
  rm -rf "$PLACE"
}

# A store that is fresh for each test.
fresh_store() {
  export STORE=$PLACE/store-$BATS_TEST_NUMBER
  rm -rf "$STORE"
  mkdir "$STORE"
  export CLAWRUN_ROOTFS_STORE=$STORE
}

# Everything in the store but the lock.
store_names() {
  find "$STORE" -mindepth 1 -maxdepth 1 ! -name .lock -printf '%f\n' | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//'
}

wait_for() {
  local tries=100
  while [ $((tries -= 1)) -gt 0 ]; do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  echo "waited ten seconds in vain for: $*" >&2
  return 1
}

says() {
  case $output in
    *"$1"*) ;;
    *)
      printf 'expected "%s" in:\n%s\n' "$1" "$output" >&2
      return 1
      ;;
  esac
}

need_root() {
  [ "$(id -u)" = 0 ] || skip "only root can do this"
}

# A root that every sandbox can start in.
is_whole_root() {
  local point
  for point in proc dev dev/shm tmp sys run workspace; do
    if [ -L "$1/$point" ] || [ ! -d "$1/$point" ]; then echo "no /$point in $1" >&2; return 1; fi
  done
  [ "$(grep -c '^[^:]*:[^:]*:1000:1000:' "$1/etc/passwd")" = 1 ]
  [ "$(grep -c '^[^:]*:[^:]*:1000:' "$1/etc/group")" = 1 ]
  [ -f "$1.meta" ]
}
