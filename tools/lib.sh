# shellcheck shell=sh disable=SC2120,SC2154 # optional arguments; $root is the caller's
# What the commands in this folder share: phases with their progress, the dependency list, the lock, the build.
# Sourced by POSIX sh; expects $root, the checkout.

build=$root/build
binary=$build/src/clawrun
stamp=$build/.clawrun-built
log=$build/tools.log
ticker=

say() { printf 'clawrun: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 125
}

# A background job of a script ignores Ctrl-C, and the commands must not: so they run in front, and the progress line behind.
stop_ticker() {
  [ -z "$ticker" ] && return
  kill "$ticker" 2>/dev/null
  wait "$ticker" 2>/dev/null
  ticker=
}
trap stop_ticker EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# progress TITLE: nothing for two seconds; then one line, counting where a person watches.
progress() {
  nap=
  trap 'kill "$nap" 2>/dev/null; exit' TERM
  elapsed=2
  sleep 2 >/dev/null 2>&1 & nap=$!
  wait "$nap"
  if [ ! -t 2 ]; then
    say "$1 (this takes a while; log: $log)"
    return
  fi
  while kill -0 $$ 2>/dev/null; do
    printf '\rclawrun: %s (%ds)' "$1" "$elapsed" >&2
    sleep 1 >/dev/null 2>&1 & nap=$!
    wait "$nap"
    elapsed=$((elapsed + 1))
  done
}

# phase TITLE COMMAND…: runs it with its output in $log. The lock's descriptor is closed for it: a daemon that a package
# starts would hold the lock for ever.
phase() {
  title=$1
  shift
  { printf '\n== %s:' "$title"; printf ' %s' "$@"; printf '\n'; } >>"$log"
  started=$(date +%s)
  progress "$title" 9>&- & ticker=$!
  status=0
  "$@" </dev/null >>"$log" 2>&1 9>&- || status=$?
  stop_ticker
  took=$(($(date +%s) - started))
  if [ "$took" -ge 2 ]; then
    [ -t 2 ] && printf '\r\033[K' >&2
    [ "$status" -eq 0 ] && say "$title: done in ${took}s"
  fi
  return "$status"
}

failed() {
  say "$1 failed; the end of $log:"
  tail -n 30 "$log" >&2
  exit 125
}

# One at a time in build/: the others wait, then find the work done.
lock_build() {
  { mkdir -p "$build" && : >>"$build/.lock" && : >>"$log"; } 2>/dev/null ||
    die "cannot write to $build: it belongs to another user; run as that user, or remove it"
  exec 9>>"$build/.lock"
  flock -n 9 && return
  phase 'waiting for another build in this checkout' flock "$build/.lock" true || failed 'waiting'
  flock 9
}

unlock_build() { exec 9>&-; }

# missing SECTION…: the packages of those sections of tools/deps that are not here, one a line.
missing() {
  for section; do
    sed -n "/^\[$section\]/,/^\[/{/^\[/d;/^#/d;/./p;}" "$root/tools/deps"
  done | sort -u | {
    wanted=
    while IFS=: read -r package command; do
      [ -n "$command" ] && command -v "$command" >/dev/null 2>&1 && continue
      wanted="$wanted $package"
    done
    [ -z "$wanted" ] && return
    command -v dpkg-query >/dev/null 2>&1 || { printf '%s\n' "$wanted"; return; }
    # shellcheck disable=SC2016,SC2086 # the fields are dpkg-query's; package names have no blanks
    here=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p')
    for package in $wanted; do
      printf '%s\n' "$here" | grep -qxF "$package" || printf '%s\n' "$package"
    done
  }
}

apt_install() {
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
}

# The package lists are fetched only where there are none, or where they turn out too old.
apt_install_with_lists() {
  if ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 && apt_install "$@"; then return; fi
  $as_root apt-get -qq -o DPkg::Lock::Timeout=300 update && apt_install "$@"
}

# install_deps SECTION…: as root, or through sudo; or says what to type. Expects the lock.
install_deps() {
  packages=$(missing "$@" | tr '\n' ' ')
  packages=${packages% }
  [ -z "$packages" ] && return
  command -v apt-get >/dev/null 2>&1 ||
    die "these Debian packages, or your distribution's equivalents, are needed and there is no apt-get here: $packages"
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    as_root=sudo
    # Without a terminal nobody can answer sudo's question.
    (: </dev/tty) 2>/dev/null || as_root='sudo -n'
    $as_root true 2>/dev/null || die "missing packages; install them as root with:
  apt-get install --no-install-recommends $packages"
  fi
  # shellcheck disable=SC2086 # package names have no blanks
  phase 'installing dependencies' apt_install_with_lists $packages ||
    failed 'installing dependencies'
}

# Configures build/ where it is not, or where the checkout has been moved since. Arguments go to meson.
configure() {
  if [ -f "$build/build.ninja" ] && [ "$(cat "$build/.source" 2>/dev/null)" = "$root" ]; then return; fi
  # What a configuration that was cut short has left would be refused by meson.
  rm -rf "$build/meson-private" "$build/meson-info" "$build/build.ninja" "$build/src" "$build/tests" "$stamp"
  phase 'configuring the build' meson setup "$build" "$root" --buildtype=release "$@" || failed 'configuring the build'
  printf '%s\n' "$root" >"$build/.source"
}

# up_to_date: true where nothing that the command is made of is newer than the last build: one find, no ninja.
up_to_date() {
  [ -x "$binary" ] && [ -f "$stamp" ] &&
    [ -z "$(find "$root/src" "$root/include" "$root/profiles" "$root/seccomp-profiles" "$root/meson.build" \
      "$root/meson_options.txt" -newer "$stamp" -print -quit 2>/dev/null)" ]
}

# compile [TARGET…]: the stamp has the time before the build, so that an edit during it counts as newer.
compile() {
  touch "$stamp.new"
  phase 'building' ninja -C "$build" "$@" || failed 'building'
  mv "$stamp.new" "$stamp"
}
