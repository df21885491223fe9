# shellcheck shell=sh disable=SC2154 # $here is the suite's folder
# What the suites in the test machine share: run_in_guest SCRIPT [-s] [PATTERN]

: "${CLAWRUN_SOURCE:=$(CDPATH='' cd -- "$here/../.." && pwd -P)}"
: "${CLAWRUN_BUILD:=$CLAWRUN_SOURCE/build}"
: "${CLAWRUN:=$CLAWRUN_BUILD/src/clawrun}"
export CLAWRUN_SOURCE CLAWRUN_BUILD CLAWRUN
vm=$CLAWRUN_SOURCE/tests/vm

# Where the machine cannot be had, the last line of setup is the reason.
run_in_guest() {
  script=$1 systemd=
  shift
  if [ "${1-}" = -s ]; then
    systemd=-s
    shift
  fi
  "$vm/setup" ${systemd:+"$systemd"} || exit 77
  exec "$vm/boot" ${systemd:+"$systemd"} -t 400 -m 3072 -d 256 -b "$CLAWRUN_SOURCE" -b "$CLAWRUN_BUILD" -b "${CLAWRUN%/*}" \
    -e CLAWRUN -e CLAWRUN_BUILD -e CLAWRUN_SOURCE -- python3 "$script" "$@"
}
