# shellcheck shell=sh
# shellcheck disable=SC2154  # work, mirror, branch, arch, host_arch, packages come from lib.sh and alpine
# How Alpine's packages get into a root: the static apk tool, fetched from the mirror and checked against the keys that
# came with the signed minirootfs, and then run on that root.
#
# A package (.apk) and the index of a repository are gzip members one after the other, each a tar archive:
#   package: signature, control (.PKGINFO), data        index: signature, index
# The signature is RSA over the bytes of the second member; .PKGINFO holds the sha256 of the third.

# members FILE PREFIX COUNT: writes the first COUNT members to PREFIX1..., the last one with all that follows.
members() {
  _offset=0
  _index=1
  while [ "$_index" -lt "$3" ]; do
    _length=$(member_length "$1" "$_offset")
    [ -n "$_length" ] || return 1
    tail -c +$((_offset + 1)) -- "$1" | head -c "$_length" >"$2$_index"
    _offset=$((_offset + _length))
    _index=$((_index + 1))
  done
  tail -c +$((_offset + 1)) -- "$1" >"$2$_index"
  [ -s "$2$_index" ]
}

# gzip keeps no lengths. So each place that looks like the head of a member is tried: it is one when all before it is a
# whole member. Signature and control are small, hence the limit on how far the search goes.
member_length() {
  tail -c +$(($2 + 1)) -- "$1" | head -c 262144 >"$work/window"
  od -An -v -tx1 "$work/window" | tr -s ' ' '\n' | grep -v '^$' | awk '
    { if (NR > 3 && two == "1f" && one == "8b" && $1 == "08") print NR - 3; two = one; one = $1 }
  ' >"$work/heads"
  while read -r _head; do
    if head -c "$_head" "$work/window" | gzip -t 2>/dev/null; then
      echo "$_head"
      return
    fi
  done <"$work/heads"
}

# verify_rsa WHAT PREFIX: the signature in member 1 must be one over member 2 by a key of the minirootfs.
verify_rsa() {
  gzip -dc "$2"1 >"$work/sign.tar" 2>/dev/null
  # A signature member lacks the two zero blocks at a tar archive's end, as the format wants it.
  _entry=$(tar -tf "$work/sign.tar" 2>/dev/null | head -n 1)
  case $_entry in
    .SIGN.RSA256.*) _digest=sha256; _key=${_entry#.SIGN.RSA256.} ;;
    .SIGN.RSA.*) _digest=sha1; _key=${_entry#.SIGN.RSA.} ;;
    *) die "$1 is not signed; nothing of it was used" ;;
  esac
  case $_key in
    '' | .* | *[!A-Za-z0-9@._-]*) die "$1 names a signing key that is no file name" ;;
  esac
  tar -xOf "$work/sign.tar" "$_entry" >"$work/signature.rsa" 2>/dev/null
  for _place in etc/apk/keys usr/share/apk/keys; do
    if [ -f "$work/root/$_place/$_key" ] && [ ! -L "$work/root/$_place/$_key" ]; then
      openssl dgst "-$_digest" -verify "$work/root/$_place/$_key" -signature "$work/signature.rsa" "$2"2 >/dev/null 2>&1 &&
        return
      die "bad signature of $1 (key $_key); nothing of it was used"
    fi
  done
  die "$1 is signed by $_key, a key that this Alpine release does not have; nothing of it was used"
}

# The version of a package in an index that has been checked.
index_version() {
  awk -v wanted="P:$1" '
    $0 == "" { hit = 0 }
    $0 == wanted { hit = 1 }
    hit && /^V:/ { print substr($0, 3); exit }' "$2"
}

package_info() {
  sed -n "s/^$1 = //p" "$work/PKGINFO" | head -n 1
}

# Leaves the tool for this machine's architecture in $work/apk.static.
get_apk_tool() {
  _repository=$mirror/$branch/main/$host_arch
  fetch "$_repository/APKINDEX.tar.gz" "$work/index" || die "no package index: $fetch_problem"
  members "$work/index" "$work/index." 2 || die "the package index $_repository/APKINDEX.tar.gz is damaged"
  verify_rsa "the package index of $_repository" "$work/index."
  gzip -dc "$work/index.2" 2>/dev/null >"$work/index.tar"
  tar -xOf "$work/index.tar" APKINDEX >"$work/APKINDEX" 2>/dev/null
  _version=$(index_version apk-tools-static "$work/APKINDEX")
  case $_version in
    '') die "$_repository has no package apk-tools-static" ;;
    *[!A-Za-z0-9._-]*) die "$_repository gives apk-tools-static a version that is none" ;;
  esac
  _apk=apk-tools-static-$_version.apk
  say "downloading $_apk"
  fetch "$_repository/$_apk" "$work/tool" || die "no package tool: $fetch_problem"
  check_apk_tool
}

check_apk_tool() {
  members "$work/tool" "$work/tool." 3 || die "$_apk is damaged; nothing of it was used"
  verify_rsa "$_apk" "$work/tool."
  gzip -dc "$work/tool.2" >"$work/control.tar" 2>/dev/null
  tar -xOf "$work/control.tar" .PKGINFO >"$work/PKGINFO" 2>/dev/null
  [ "$(package_info pkgname)" = apk-tools-static ] || die "$_apk is another package; nothing of it was used"
  # Signed once is signed for ever: without this an old tool, with holes since mended, could be handed out.
  [ "$(package_info pkgver)" = "$_version" ] || die "$_apk is version $(package_info pkgver); nothing of it was used"
  [ "$(package_info datahash)" = "$(sha256_of "$work/tool.3")" ] ||
    die "wrong checksum: the contents of $_apk are not what its signature covers; nothing of it was used"
  gzip -dc "$work/tool.3" >"$work/tool.tar" 2>/dev/null || die "$_apk is damaged; nothing of it was used"
  tar -xOf "$work/tool.tar" sbin/apk.static >"$work/apk.static" 2>/dev/null
  [ -s "$work/apk.static" ] || die "$_apk holds no sbin/apk.static"
  chmod 700 "$work/apk.static"
}

# The tool is given no package scripts to run: they would run on the host. What they would have done is not missed in a
# sandbox: the packages bring their files, and the links of busybox are in the minirootfs.
add_packages() {
  get_apk_tool
  say "adding packages: $packages"
  "$work/apk.static" --help >"$work/apk-help" 2>&1
  "$work/apk.static" add --help >>"$work/apk-help" 2>&1
  # A mount namespace of its own, for apk mounts /proc into the root while it works; and as a user, a user namespace in
  # which the files of the root belong to root, as apk expects.
  _ns='--mount'
  _flags=
  if [ "$(id -u)" != 0 ]; then
    _ns='--user --map-root-user --mount'
    for _flag in --usermode --no-chown; do
      if grep -q -e "$_flag" "$work/apk-help"; then _flags=$_flag; break; fi
    done
  fi
  # shellcheck disable=SC2086  # lists of words
  if unshare $_ns true 2>/dev/null; then set -- unshare $_ns; else set --; fi
  # shellcheck disable=SC2086
  set -- "$@" "$work/apk.static" --root "$work/root" --arch "$arch" --keys-dir "$work/root/etc/apk/keys" \
    --repositories-file /dev/null --repository "${mirror#file://}/$branch/main" \
    --repository "${mirror#file://}/$branch/community" --no-scripts --no-cache --no-progress $_flags
  # A statically linked tool finds no certificates on its own; the minirootfs brings Alpine's.
  if [ -f "$work/root/etc/ssl/certs/ca-certificates.crt" ]; then
    set -- env "SSL_CERT_FILE=$work/root/etc/ssl/certs/ca-certificates.crt" "$@"
  fi
  # shellcheck disable=SC2086
  run "$@" add $packages >"$work/apk-log" 2>&1 || die_apk
  write_repositories
}

die_apk() {
  sed 's/^/  apk: /' "$work/apk-log" | tail -n 10 | tr -cd '[:print:]\n' >&2
  die "apk could not add the packages ($packages): $(space_left)"
}

# So that apk in a sandbox with a network and --writable asks the same mirror.
write_repositories() {
  case $mirror in
    file://*) return ;;
  esac
  if [ -L "$work/root/etc/apk/repositories" ]; then rm -f -- "$work/root/etc/apk/repositories"; fi
  printf '%s\n' "$mirror/$branch/main" "$mirror/$branch/community" >"$work/root/etc/apk/repositories"
}
