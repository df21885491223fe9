# shellcheck shell=sh
# shellcheck disable=SC2034  # some variables are for the scripts that source this file
# What all root filesystem scripts share: options, messages, the store, downloads, and the last touches on a new root.
#
# A script sources this file, sets `script`, reads its options with common_option, and then calls
#   open_store; begin NAME        a private directory $work inside the store, gone again whatever ends the script
#   ... fill $work/root ...
#   finish_root; commit KEY=VALUE...   the root and its metadata appear in the store under their name, whole
#
# POSIX sh has no local variables: the functions here use names that begin with an underscore.

set -u
umask 022
# Messages go to the standard error of the script, also while that of a command is kept in a file: a signal handler runs
# with whatever redirection stands around the command it interrupts.
exec 7>&2
# Messages of tools are matched nowhere, but sorted lists and character ranges must not depend on the caller.
LC_ALL=C
export LC_ALL

name=
store=${CLAWRUN_ROOTFS_STORE:-}
force=no
quiet=no
dry_run=no
consumed=0
child=
work=
fetch_problem=

# ---- messages ------------------------------------------------------------------------------------------------------

say() {
  [ "$quiet" = yes ] || warn "$*"
}

warn() {
  printf 'clawrun-rootfs: %s: %s\n' "${script:-rootfs}" "$*" >&7
}

die() {
  warn "error: $*"
  exit 1
}

usage_error() {
  warn "error: $*; --help lists what there is"
  exit 2
}

common_usage() {
  cat <<'END'
  --name NAME      name in the store: lower-case letters, digits, '.', '_', '-', at most 64
  --store DIR      store directory (default: $CLAWRUN_ROOTFS_STORE; else
                   /var/lib/clawrun/rootfs as root, and as a user
                   ${XDG_DATA_HOME:-$HOME/.local/share}/clawrun/rootfs)
  --force          replace a root of that name
  --dry-run        print what would be made, and make nothing
  --quiet          no progress lines
  --help           this text

The path of the new root is printed on standard output. Exit status: 0 made, 1 failed,
2 wrong options, 128+N ended by signal N. Whatever happens, nothing half-made stays.
END
}

# ---- options -------------------------------------------------------------------------------------------------------

need_value() {
  [ $# -ge 2 ] || usage_error "option $1 needs a value"
}

# Reads one option that all scripts have, and says in $consumed how many words it was.
common_option() {
  consumed=1
  case $1 in
    --name) need_value "$@"; name=$2; consumed=2 ;;
    --store) need_value "$@"; store=$2; consumed=2 ;;
    --force) force=yes ;;
    --dry-run) dry_run=yes ;;
    --quiet) quiet=yes ;;
    --help | -h) usage; exit 0 ;;
    -*) usage_error "unknown option $1" ;;
    *) usage_error "unexpected word \"$1\"" ;;
  esac
}

# A list of words separated by commas or blanks, as words separated by one blank.
words() {
  printf '%s' "$*" | tr -s ', \t\n' '    ' | sed 's/^ //; s/ $//'
}

check_name() {
  [ "${#1}" -le 64 ] || usage_error "name \"$1\" is longer than 64 characters"
  case $1 in
    [!a-z0-9]* | *[!a-z0-9._-]* | '')
      usage_error "name \"$1\" is not allowed: it begins with a lower-case letter or digit and goes on with those, '.', '_' or '-'" ;;
    *.meta) usage_error "name \"$1\" is not allowed: the ending .meta is that of the files that describe the roots" ;;
  esac
}

# Package names of Alpine and Debian, with an optional version: nothing that a tool could read as an option or a path.
check_packages() {
  for _package in $1; do
    case $_package in
      [!A-Za-z0-9]* | *[!A-Za-z0-9.+_~=@:-]*) usage_error "\"$_package\" is not a package name" ;;
    esac
  done
}

check_url() {
  case $2 in
    *[[:space:]\"\'\<\>\\]*) usage_error "$1 \"$2\" holds characters that a URL has not" ;;
    https://?* | http://?* | file:///*) ;;
    *) usage_error "$1 \"$2\" is not a URL: write https://..., http://... or file:///..." ;;
  esac
}

# need TOOL PACKAGE: the tool, or the name of the Debian package that brings it.
need() {
  command -v "$1" >/dev/null 2>&1 || die "\"$1\" is missing: install the package $2 (apt-get install $2)"
}

# ---- the store -----------------------------------------------------------------------------------------------------

default_store() {
  if [ "$(id -u)" = 0 ]; then
    echo /var/lib/clawrun/rootfs
    return
  fi
  case ${XDG_DATA_HOME:-} in
    /*) echo "$XDG_DATA_HOME/clawrun/rootfs" ;;
    *)
      case ${HOME:-} in
        /*) echo "$HOME/.local/share/clawrun/rootfs" ;;
      esac
      ;;
  esac
}

# Makes the store if it is not there, and clears away what dead runs left in it.
open_store() {
  need flock util-linux
  [ -n "$store" ] || store=$(default_store)
  case $store in
    /*) ;;
    '') die "there is no home directory to keep the store in: give --store DIR" ;;
    *) usage_error "the store \"$store\" is not an absolute path" ;;
  esac
  mkdir -p -- "$store" 2>/dev/null || die "cannot make the store $store: give --store DIR, or run as its owner"
  # Every path below the store is used by name: nobody else may be able to change what a name means meanwhile.
  [ "$(stat -c %u -- "$store/.")" = "$(id -u)" ] ||
    die "the store $store belongs to another user: run as its owner, or give --store DIR"
  [ -z "$(find "$store/." -prune \( -perm -020 -o -perm -002 \))" ] ||
    die "the store $store can be written by other users: chmod go-w $store"
  [ -w "$store" ] || die "the store $store is not writable"
  lock_store
  sweep_store
  unlock_store
}

# The lock is held for the time of a few renames; downloads and unpacking go on without it.
lock_store() {
  exec 9>>"$store/.lock" || die "cannot open $store/.lock"
  flock 9 || die "cannot lock $store/.lock"
}

unlock_store() {
  exec 9>&-
}

# Start time of a process in ticks since boot: with the pid it names one process only, where the pid alone comes again.
start_time() {
  sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
}

# Removes what runs that were killed have left: their directories, and metadata whose root never came.
sweep_store() {
  for _dir in "$store"/.tmp-*; do
    if [ -L "$_dir" ] || [ ! -d "$_dir" ]; then continue; fi
    _rest=${_dir##*/.tmp-}
    _pid=${_rest%%-*}; _rest=${_rest#*-}
    _start=${_rest%%-*}; _rest=${_rest#*-}
    case $_pid$_start in
      '' | *[!0-9]*) continue ;;
    esac
    [ "$(start_time "$_pid")" != "$_start" ] || continue
    # Killed between the two renames of --force: the root that was to be replaced goes back to its place.
    if [ -d "$_dir/old" ] && [ ! -e "$store/$_rest" ] && [ ! -L "$store/$_rest" ]; then
      mv -- "$_dir/old" "$store/$_rest"
    fi
    say "clearing away what process $_pid left behind"
    remove_tree "$_dir"
  done
  for _dir in "$store"/.rm-*; do
    if [ -d "$_dir" ] && [ ! -L "$_dir" ]; then remove_tree "$_dir"; fi
  done
  for _meta in "$store"/*.meta; do
    if [ -f "$_meta" ] && [ ! -e "${_meta%.meta}" ] && [ ! -L "${_meta%.meta}" ]; then rm -f -- "$_meta"; fi
  done
  if [ -d "$store/.cache" ] && [ ! -L "$store/.cache" ]; then
    find "$store/.cache" -type f -mtime +14 -exec rm -f -- {} +
  fi
}

# rm -rf that also gets through directories without write permission, which images have and only root may ignore.
remove_tree() {
  if [ "$(id -u)" != 0 ]; then
    find "$1" -type d ! -perm -700 -exec chmod u+rwx {} \; 2>/dev/null
  fi
  rm -rf -- "$1"
}

on_exit() {
  _status=$?
  trap '' HUP INT TERM
  trap - EXIT
  stop_child
  if [ -n "$work" ] && [ -d "$work" ]; then remove_tree "$work"; fi
  exit "$_status"
}

on_signal() {
  stop_child
  warn "interrupted by SIG$1: nothing was added to ${store:-the store}"
  exit $((128 + $2))
}

stop_child() {
  [ -n "$child" ] || return 0
  kill -TERM "$child" 2>/dev/null
  _tenths=0
  while kill -0 "$child" 2>/dev/null && [ "$_tenths" -lt 100 ]; do
    _tenths=$((_tenths + 1))
    sleep 0.1
  done
  kill -KILL "$child" 2>/dev/null
  wait "$child" 2>/dev/null
  child=
}

# Runs a long command so that a signal to this script is acted on at once, not when the command has ended.
run() {
  "$@" 7>&- &
  child=$!
  wait "$child"
  _status=$?
  child=
  return "$_status"
}

taken() {
  [ -e "$store/$name" ] || [ -L "$store/$name" ]
}

die_taken() {
  die "$store/$name is there already: --force replaces it, --name chooses another name"
}

# Makes the private directory of this run: $work, with the root to fill at $work/root.
begin() {
  if taken && [ "$force" != yes ]; then die_taken; fi
  trap on_exit EXIT
  trap 'on_signal HUP 1' HUP
  trap 'on_signal INT 2' INT
  trap 'on_signal TERM 15' TERM
  work=$store/.tmp-$$-$(start_time $$)-$name
  mkdir -m 700 -- "$work" || die "cannot make $work: $(space_left)"
  mkdir -- "$work/root" || die "cannot make $work/root: $(space_left)"
}

# Free space of the store in words, for failures whose reason is often that there is none.
space_left() {
  _free_kib=$(df -Pk -- "$store" 2>/dev/null | awk 'NR == 2 { print $4 }')
  if [ "${_free_kib:-0}" -lt 1024 ]; then
    echo "no space left on the filesystem of $store"
  else
    echo "$((_free_kib / 1024)) MiB are free on the filesystem of $store"
  fi
}

# commit KEY=VALUE...: writes the metadata and lets the finished root appear under its name.
commit() {
  {
    printf 'script=%s\n' "$script"
    printf '%s\n' "$@"
    printf 'size_kib=%s\n' "$(du -sk -- "$work/root" | cut -f 1)"
    printf 'date=%s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
  } >"$work/meta" || die "cannot write $work/meta: $(space_left)"
  # Data before names: after a power cut a name must not stand for empty files.
  sync -f "$work/meta" 2>/dev/null || sync
  trap '' HUP INT TERM
  lock_store
  if ! taken; then
    # A process killed between these two leaves metadata without a root, which the next run removes.
    if ! mv -- "$work/meta" "$store/$name.meta" || ! mv -- "$work/root" "$store/$name"; then
      die "cannot move the root into $store"
    fi
  elif [ "$force" != yes ]; then
    die_taken
  else
    replace_root
    mv -- "$work/meta" "$store/$name.meta"
  fi
  unlock_store
  say "ready: $store/$name"
  printf '%s\n' "$store/$name"
}

# With coreutils 9.5 or newer the two roots are exchanged in one step (renameat2(2)); before that, sh has only two
# renames, and sweep_store puts the old root back if the script is killed between them.
replace_root() {
  if [ -d "$store/$name" ] && [ ! -L "$store/$name" ] && mv --exchange -T -- "$work/root" "$store/$name" 2>/dev/null; then
    return
  fi
  mv -- "$store/$name" "$work/old" || die "cannot move $store/$name aside"
  if ! mv -- "$work/root" "$store/$name"; then
    mv -- "$work/old" "$store/$name"
    die "cannot move the root into $store"
  fi
}

# ---- downloads -----------------------------------------------------------------------------------------------------

need_fetch_tool() {
  command -v curl >/dev/null 2>&1 || command -v wget >/dev/null 2>&1 ||
    die "neither \"curl\" nor \"wget\" is there: install the package curl (apt-get install curl)"
}

# fetch URL FILE: one file of a mirror, going on where FILE ends. Returns 0; 2 when the mirror has no such file; 1 for
# every other failure. What went wrong is in $fetch_problem.
fetch() {
  fetch_problem=
  case $1 in
    file://*)
      _path=${1#file://}
      if [ ! -f "$_path" ]; then
        fetch_problem="$_path is not there"
        return 2
      fi
      cp -- "$_path" "$2" 2>/dev/null && return 0
      fetch_problem="cannot copy $_path: $(space_left)"
      return 1
      ;;
  esac
  _attempt=1
  while :; do
    if command -v curl >/dev/null 2>&1; then fetch_curl "$1" "$2"; else fetch_wget "$1" "$2"; fi
    _result=$?
    # 3: broken off on the way, so that another attempt gets the rest.
    if [ "$_result" != 3 ]; then return "$_result"; fi
    if [ "$_attempt" -ge 4 ]; then return 1; fi
    _attempt=$((_attempt + 1))
    say "the download of ${1##*/} broke off at $(size_of "$2") bytes: going on (attempt $_attempt)"
    sleep 1
  done
}

size_of() {
  if [ -f "$1" ]; then stat -c %s -- "$1"; else echo 0; fi
}

fetch_curl() {
  # An https mirror must not send us on to one without.
  case $1 in
    https://*) _follow='=https' ;;
    *) _follow='=https,http' ;;
  esac
  : >"$work/http-code"
  run curl --fail --location --silent --show-error --proto '=https,http' --proto-redir "$_follow" --connect-timeout 20 \
    --speed-limit 1 --speed-time 60 --continue-at - --output "$2" --write-out '%{http_code}' -- "$1" \
    >"$work/http-code" 2>"$work/fetch-errors"
  _code=$?
  _http=$(cat "$work/http-code")
  case $_code in
    0) return 0 ;;
    18 | 28 | 52 | 55 | 56)
      fetch_problem="the download of $1 broke off: $(last_line "$work/fetch-errors")"
      return 3
      ;;
    23) fetch_problem="cannot write $2: $(space_left)"; return 1 ;;
    33) : >"$2"; fetch_problem="$1: this mirror cannot resume downloads"; return 3 ;;
    22)
      case $_http in
        404 | 410) fetch_problem="$1 is not there (HTTP $_http)"; return 2 ;;
        416) : >"$2"; fetch_problem="$1: what was downloaded before does not fit"; return 3 ;;
      esac
      fetch_problem="$1: the mirror answers HTTP $_http"
      return 1
      ;;
  esac
  fetch_problem="$1 cannot be reached: $(last_line "$work/fetch-errors")"
  return 1
}

fetch_wget() {
  run wget -c -O "$2" -T 60 -t 1 -- "$1" >"$work/fetch-errors" 2>&1
  _code=$?
  [ "$_code" != 0 ] || return 0
  if grep -q ' 404[ :]\| 410[ :]' "$work/fetch-errors"; then
    fetch_problem="$1 is not there (HTTP 404)"
    return 2
  fi
  if [ -s "$2" ] && [ "$_code" = 4 ]; then
    fetch_problem="the download of $1 broke off"
    return 3
  fi
  if [ "$_code" = 3 ]; then
    fetch_problem="cannot write $2: $(space_left)"
  else
    fetch_problem="$1 cannot be reached: $(last_line "$work/fetch-errors")"
  fi
  return 1
}

last_line() {
  grep -v '^[[:space:]]*$' "$1" | tail -n 1 | tr -cd '[:print:]'
}

# fetch_cached URL FILE: as fetch, but a download that was broken off is kept in the store's cache for the next run.
fetch_cached() {
  case $1 in
    file://*) fetch "$1" "$2"; return ;;
  esac
  # Another run may make it in the same moment.
  [ -d "$store/.cache" ] || mkdir -m 700 -- "$store/.cache" 2>/dev/null || [ -d "$store/.cache" ] || die "cannot make $store/.cache: $(space_left)"
  _part=$store/.cache/$(printf '%s' "$1" | sha256sum | cut -c 1-16)-${1##*/}.part
  # Two runs that want the same file take turns. The first one takes the finished file away, so the second one has to
  # look again whether the file it has locked is still the one of that name.
  while :; do
    exec 8>>"$_part" || die "cannot open $_part"
    flock 8 || die "cannot lock $_part"
    [ "$(stat -L -c %i /proc/self/fd/8)" != "$(stat -c %i -- "$_part" 2>/dev/null)" ] || break
  done
  if [ -s "$_part" ]; then say "going on with a download of which $(size_of "$_part") bytes are here"; fi
  fetch "$1" "$_part"
  _result=$?
  if [ "$_result" = 0 ]; then mv -- "$_part" "$2"; elif [ ! -s "$_part" ]; then rm -f -- "$_part"; fi
  exec 8>&-
  return "$_result"
}

# list_remote URL: what a mirror lists under URL (a directory, with its slash), one name a line in $work/names; nothing
# where it gives no list.
list_remote() {
  : >"$work/names"
  case $1 in
    file://*)
      ls -1 -- "${1#file://}" >"$work/names" 2>/dev/null
      return 0
      ;;
  esac
  rm -f -- "$work/listing"
  fetch "$1" "$work/listing" || return 0
  grep -o 'href="[^"?]*"' "$work/listing" | sed 's/^href="//; s/"$//; s,/$,,; s,.*/,,' >"$work/names"
}

sha256_of() {
  sha256sum -- "$1" | cut -d ' ' -f 1
}

is_sha256() {
  [ "${#1}" = 64 ] || return 1
  case $1 in
    *[!0-9a-f]*) return 1 ;;
  esac
}

# ---- the last touches on a root ------------------------------------------------------------------------------------

unpack_tar() {
  # As root the owners are those of the archive; a user can only own everything. Without --xattrs no file capability and
  # no other extended attribute is taken over.
  if [ "$(id -u)" = 0 ]; then
    run tar -C "$2" --numeric-owner -p -xf "$1"
  else
    run tar -C "$2" --no-same-owner --exclude='./dev/*' --exclude='dev/*' -p -xf "$1"
  fi || die "cannot unpack ${1##*/}: $(space_left)"
}

# Makes $work/root a root that every sandbox can start in. What came from elsewhere is not trusted: no symbolic link in
# it is followed, or an image could have a file of the host rewritten.
finish_root() {
  _root=$work/root
  say "finishing the root"
  for _point in proc dev tmp sys run workspace dev/shm; do
    if [ -L "$_root/$_point" ] || { [ -e "$_root/$_point" ] && [ ! -d "$_root/$_point" ]; }; then
      rm -f -- "$_root/$_point"
    fi
    if [ ! -d "$_root/$_point" ]; then mkdir -- "$_root/$_point" || die "cannot make /$_point: $(space_left)"; fi
  done
  if [ -L "$_root/etc" ]; then die "/etc of this root is a symbolic link, which no sandbox can start in"; fi
  if [ ! -d "$_root/etc" ]; then mkdir -- "$_root/etc" || die "cannot make /etc: $(space_left)"; fi
  add_account passwd 'root:x:0:0:root:/root:/bin/sh' 'sandbox:x:1000:1000:sandbox:/workspace:/bin/sh'
  add_account group 'root:x:0:' 'sandbox:x:1000:'
  # Files that a sandbox with a network, or an engine, mounts its own over.
  for _file in resolv.conf hosts hostname; do
    if [ -L "$_root/etc/$_file" ]; then rm -f -- "$_root/etc/$_file"; fi
    [ -e "$_root/etc/$_file" ] || : >"$_root/etc/$_file"
  done
  harden_root
}

# add_account FILE ROOT-LINE SANDBOX-LINE: the file has id 0 and id 1000 after this, and is a plain file.
add_account() {
  _file=$_root/etc/$1
  if [ -f "$_file" ] && [ ! -L "$_file" ]; then cat -- "$_file" >"$work/account"; else : >"$work/account"; fi
  # A last line without a newline would swallow the first one added.
  if [ -n "$(tail -c 1 -- "$work/account")" ]; then echo >>"$work/account"; fi
  grep -q '^[^:]*:[^:]*:0:' "$work/account" || printf '%s\n' "$2" >>"$work/account"
  grep -q '^[^:]*:[^:]*:1000:' "$work/account" || printf '%s\n' "$3" >>"$work/account"
  chmod 644 "$work/account"
  rm -rf -- "$_file"
  mv -- "$work/account" "$_file" || die "cannot write /etc/$1: $(space_left)"
}

# The store is a directory on the host that all its users can enter. So nothing in it may give anyone a privilege there:
# no device, no set-id file, no file capability, no owner that is a user of the host by the same number, and nothing that
# others can write. A sandbox loses nothing by it: it is one user with no_new_privs, and its /dev and /tmp are made anew.
harden_root() {
  find "$_root" \( -type b -o -type c -o -type p -o -type s \) -exec rm -f -- {} +
  if [ "$(id -u)" = 0 ]; then
    # chown(2) takes away file capabilities too, also where the owner stays the same.
    chown -hR 0:0 "$_root" || die "cannot make root the owner of the files"
  else
    find "$_root" -type d ! -perm -700 -exec chmod u+rwx {} \;
    find "$_root" -type f ! -perm -400 -exec chmod u+r {} +
  fi
  find "$_root" -type f \( -perm -4000 -o -perm -2000 \) -exec chmod ug-s {} +
  find "$_root" ! -type l -perm -0002 -exec chmod o-w {} +
  chmod 755 "$_root"
}
