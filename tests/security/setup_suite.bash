# shellcheck shell=bash
# One place and one ordinary user for the whole suite; both are gone afterwards.

setup_suite() {
  PLACE=$(mktemp -d /tmp/clawrun-security.XXXXXX)
  chmod 755 "$PLACE"
  mkdir "$PLACE/bin"
  # An ordinary user may not reach into the checkout.
  cp "$CLAWRUN" "$CLAWRUN_BUILD/tests/security/hostile" "$CLAWRUN_BUILD/tests/security/syscall_matrix" "$PLACE/bin/"
  cp "$BATS_TEST_DIRNAME/storm.py" "$BATS_TEST_DIRNAME/matrix.py" "$PLACE/bin/"
  mkdir -m 777 "$PLACE/log"
  chmod -R a+rX "$PLACE/bin"
  CALLERS=user
  WHO=$(id -un)
  if [ "$(id -u)" -eq 0 ]; then
    CALLERS='root user'
    WHO=clawrunsec$$
    useradd -m "$WHO"
    install -d -o "$WHO" -m 755 "$PLACE/user"
  else
    install -d -m 755 "$PLACE/user"
  fi
  install -d -m 755 "$PLACE/root"
  export PLACE CALLERS WHO
  unset XDG_RUNTIME_DIR CLAWRUN_ROOTFS_STORE
}

teardown_suite() {
  local pid
  if [ "$(id -u)" -eq 0 ]; then
    for pid in $(ps -o pid= -U "$WHO"); do kill -9 "$pid"; done
    userdel -r "$WHO" 2>/dev/null
  fi
  rm -rf "$PLACE"
}
