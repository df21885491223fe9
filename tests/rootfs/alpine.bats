#!/usr/bin/env bats
# rootfs-scripts/alpine against a mirror of the test's own on 127.0.0.1: a tiny minirootfs made of busybox, signed with a
# throwaway OpenPGP key, and packages signed with a throwaway RSA key. apk itself is a stand-in (apk-stand-in says why).
# shellcheck disable=SC2030,SC2031,SC2154  # bats runs each test in a subshell of its own and sets $status, $output

load helper

setup_file() {
  make_place
  export ARCH MIRROR=$PLACE/mirror STATE=$PLACE/state GNUPGHOME=$PLACE/gnupg
  ARCH=$(uname -m)
  mkdir -m 700 "$GNUPGHOME" "$STATE"
  make_keys
  make_release 3.22.2
  make_release 3.22.1
  make_list 3.22.2
  ln -s v3.22 "$MIRROR/latest-stable"
  mkdir "$MIRROR/v3.21"
  "$TESTS/make_packages.py" "$MIRROR/v3.22/main/$ARCH" "$PLACE/rsa.pem" test@clawrun-1.rsa.pub "$ARCH" "$TESTS/apk-stand-in"
  cp -a "$MIRROR" "$PLACE/pristine"
  "$TESTS/mirror.py" "$MIRROR" "$STATE" >/dev/null 2>&1 3>&- &
  export SERVER=$!
  wait_for test -s "$STATE/port"
  export URL
  URL=http://127.0.0.1:$(cat "$STATE/port")
}

teardown_file() {
  if [ -n "${SERVER:-}" ]; then kill "$SERVER" 2>/dev/null || true; fi
  gpgconf --kill all 2>/dev/null || true
  drop_place
}

make_keys() {
  local who
  for who in release stranger; do
    gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key "$who@example.org" ed25519 sign never
    gpg --batch --armor --export "$who@example.org" >"$PLACE/$who.asc"
  done
  export FINGERPRINT STRANGER
  FINGERPRINT=$(fingerprint release)
  STRANGER=$(fingerprint stranger)
  openssl genrsa -out "$PLACE/rsa.pem" 2048 2>/dev/null
  openssl rsa -in "$PLACE/rsa.pem" -pubout -out "$PLACE/rsa.pub" 2>/dev/null
}

fingerprint() {
  gpg --batch --with-colons --list-keys "$1@example.org" | awk -F: '$1 == "fpr" { print $10; exit }'
}

# make_release VERSION: archive, checksum and signature of one release.
make_release() {
  local root=$PLACE/tree file=alpine-minirootfs-$1-$ARCH.tar.gz
  local releases=$MIRROR/v3.22/releases/$ARCH
  rm -rf "$root"
  mkdir -p "$releases" "$root/bin" "$root/etc/apk/keys" "$root/tmp" "$root/lib/apk/db"
  cp "$(command -v busybox)" "$root/bin/busybox"
  ln -s busybox "$root/bin/sh"
  echo "$1" >"$root/etc/alpine-release"
  printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
  cp "$PLACE/rsa.pub" "$root/etc/apk/keys/test@clawrun-1.rsa.pub"
  tar -C "$root" --owner 0 --group 0 -czf "$releases/$file" .
  (cd "$releases" && sha256sum "$file" >"$file.sha256")
  sign "$releases/$file" release
}

sign() {
  rm -f "$1.asc"
  gpg --batch --quiet --armor --local-user "$2@example.org" --output "$1.asc" --detach-sign "$1"
}

# make_list VERSION: latest-releases.yaml, as Alpine lays it out, with a flavor before and after the one that is wanted.
make_list() {
  local releases=$MIRROR/v3.22/releases/$ARCH flavor
  echo '---' >"$releases/latest-releases.yaml"
  for flavor in alpine-standard alpine-minirootfs alpine-virt; do
    cat >>"$releases/latest-releases.yaml" <<END
-
  title: "$flavor"
  desc: |
    Made for a test.
  branch: v3.22
  arch: $ARCH
  version: $1
  flavor: $flavor
  file: $flavor-$1-$ARCH.tar.gz
  sha256: $([ "$flavor" = alpine-minirootfs ] && cut -d ' ' -f 1 "$releases/$flavor-$1-$ARCH.tar.gz.sha256" || printf '%064d' 0)
END
  done
}

setup() {
  fresh_store
  rm -f "$STATE/faults" "$STATE/requests"
  rm -rf "$MIRROR"
  cp -a "$PLACE/pristine" "$MIRROR"
  export RELEASES=$MIRROR/v3.22/releases/$ARCH FILE=alpine-minirootfs-3.22.2-$ARCH.tar.gz
}

alpine() {
  "$SCRIPTS/alpine" --mirror "$URL" --key "$PLACE/release.asc" --fingerprint "$FINGERPRINT" "$@"
}

@test "the newest release of a branch is made" {
  run alpine --version 3.22
  [ "$status" = 0 ]
  says "the signature is good"
  [ "$(store_names)" = ".cache alpine alpine.meta" ]
  [ -z "$(ls -A "$STORE/.cache")" ]
  is_whole_root "$STORE/alpine"
  grep -qx 'version=3.22.2' "$STORE/alpine.meta"
  grep -qx "arch=$ARCH" "$STORE/alpine.meta"
  grep -qx "sha256=$(cut -d ' ' -f 1 "$RELEASES/$FILE.sha256")" "$STORE/alpine.meta"
}

@test "standard output is the path alone, and --quiet says nothing else" {
  alpine --quiet >"$PLACE/out" 2>"$PLACE/err"
  [ "$(cat "$PLACE/out")" = "$STORE/alpine" ]
  [ ! -s "$PLACE/err" ]
}

@test "an older release, latest-stable and a file:// mirror" {
  run alpine --version 3.22.1 --name old
  [ "$status" = 0 ]
  run alpine --version latest-stable --name new
  [ "$status" = 0 ]
  run alpine --mirror "file://$MIRROR" --version=3.22 --name local
  [ "$status" = 0 ]
  [ "$(cat "$STORE/old/etc/alpine-release" "$STORE/new/etc/alpine-release" "$STORE/local/etc/alpine-release" | tr '\n' ' ')" = "3.22.1 3.22.2 3.22.2 " ]
}

@test "the key comes from --key-url when no file is given" {
  cp "$PLACE/release.asc" "$MIRROR/key.asc"
  run "$SCRIPTS/alpine" --mirror "$URL" --key-url "$URL/key.asc" --fingerprint "$FINGERPRINT"
  [ "$status" = 0 ]
}

@test "an existing root stays, and --force replaces it" {
  alpine --version 3.22.1 --quiet
  run alpine
  [ "$status" = 1 ]
  says "is there already: --force replaces it"
  [ "$(cat "$STORE/alpine/etc/alpine-release")" = 3.22.1 ]
  run alpine --force
  [ "$status" = 0 ]
  [ "$(cat "$STORE/alpine/etc/alpine-release")" = 3.22.2 ]
  grep -qx 'version=3.22.2' "$STORE/alpine.meta"
  [ "$(store_names)" = ".cache alpine alpine.meta" ]
}

# nothing_made: after a failure the store is as empty as before it.
nothing_made() {
  [ "$status" = 1 ]
  case $(store_names) in
    '' | .cache) ;;
    *) echo "left in the store: $(store_names)" >&2; return 1 ;;
  esac
}

@test "a wrong checksum: nothing is unpacked or kept" {
  printf 'x' >>"$RELEASES/$FILE"
  run alpine
  nothing_made
  says "wrong checksum"
  [ -z "$(ls -A "$STORE/.cache")" ]
}

@test "a wrong signature: nothing is unpacked or kept" {
  # The mirror's checksum fits the changed archive: only the signature can tell.
  printf 'x' >>"$RELEASES/$FILE"
  (cd "$RELEASES" && sha256sum "$FILE" >"$FILE.sha256")
  make_list 3.22.2
  run alpine
  nothing_made
  says "bad signature of $FILE (BADSIG)"
}

@test "a signature by another key" {
  sign "$RELEASES/$FILE" stranger
  run alpine
  nothing_made
  says "is not signed by the key that was given"
}

@test "a key with another fingerprint, also when it made the signature" {
  sign "$RELEASES/$FILE" stranger
  run alpine --key "$PLACE/stranger.asc"
  nothing_made
  says "is signed by $STRANGER, the key must be $FINGERPRINT"
}

@test "without --fingerprint only Alpine's own key will do" {
  run "$SCRIPTS/alpine" --mirror "$URL" --key "$PLACE/release.asc"
  nothing_made
  says "the key must be 0482D84022F52DF1C4E7CD43293ACD0907D9495A"
}

@test "a good signature of something else, packed into one message" {
  echo other >"$PLACE/other"
  rm -f "$RELEASES/$FILE.asc"
  gpg --batch --quiet --armor --local-user release@example.org --output "$RELEASES/$FILE.asc" --sign "$PLACE/other"
  run alpine
  nothing_made
  says "bad signature"
}

@test "no signature, a damaged one, a damaged key" {
  rm "$RELEASES/$FILE.asc"
  run alpine
  nothing_made
  says "no signature for $FILE"
  echo nonsense >"$RELEASES/$FILE.asc"
  run alpine
  nothing_made
  says "bad signature"
  echo nonsense >"$PLACE/nonsense.asc"
  sign "$RELEASES/$FILE" release
  run alpine --key "$PLACE/nonsense.asc"
  nothing_made
}

@test "the signature is skipped only when told to, and that is said" {
  rm "$RELEASES/$FILE.asc"
  run alpine --quiet --insecure-skip-signature
  [ "$status" = 0 ]
  says "warning: the signature of $FILE is NOT checked"
}

@test "an old release passed off as a new one" {
  cp "$RELEASES/alpine-minirootfs-3.22.1-$ARCH.tar.gz" "$RELEASES/$FILE"
  cp "$RELEASES/alpine-minirootfs-3.22.1-$ARCH.tar.gz.asc" "$RELEASES/$FILE.asc"
  (cd "$RELEASES" && sha256sum "$FILE" >"$FILE.sha256")
  make_list 3.22.2
  run alpine
  nothing_made
  says "holds Alpine 3.22.1, not 3.22.2"
}

@test "an unknown branch or release names what the mirror offers" {
  run alpine --version 3.99
  nothing_made
  says "has no Alpine 3.99 for $ARCH; it offers: latest-stable 3.21 3.22"
  run alpine --version 3.22.77
  nothing_made
  says "it offers: 3.22.1 3.22.2"
  run alpine --version newest
  [ "$status" = 2 ]
}

@test "a mirror that is down" {
  run alpine --mirror http://127.0.0.1:1
  nothing_made
  says "cannot be reached"
}

@test "a download that breaks off is gone on with" {
  echo "cut $FILE 100000" >"$STATE/faults"
  run alpine
  [ "$status" = 0 ]
  says "broke off at 100000 bytes"
  grep -q "$FILE bytes=100000-" "$STATE/requests"
}

@test "a mirror without ranges is asked for the whole again" {
  printf 'cut %s 100000\nnorange %s\n' "$FILE" "$FILE" >"$STATE/faults"
  run alpine
  [ "$status" = 0 ]
  says "is good"
}

@test "wget does it too, where there is no curl" {
  mkdir -p "$PLACE/no-curl"
  ln -sf /usr/bin/* "$PLACE/no-curl/"
  rm -f "$PLACE/no-curl/curl"
  echo "cut $FILE 100000" >"$STATE/faults"
  PATH=$PLACE/no-curl run alpine
  [ "$status" = 0 ]
  grep -q "$FILE bytes=100000-" "$STATE/requests"
  PATH=$PLACE/no-curl run alpine --name other --version 3.99
  says "it offers: latest-stable 3.21 3.22"
}

# start_and_stall SIGNAL: starts a run whose download stalls, and sends it the signal there.
start_and_stall() {
  echo "stall $FILE 100000" >"$STATE/faults"
  # Background jobs of a shell ignore SIGINT, and a trap cannot undo that: env(1) can.
  env --default-signal=INT "$SCRIPTS/alpine" --mirror "$URL" --key "$PLACE/release.asc" --fingerprint "$FINGERPRINT" \
    >"$PLACE/log" 2>&1 3>&- &
  local pid=$!
  wait_for part_has_begun
  download=$(pgrep -P "$pid")
  kill -"$1" "$pid"
  code=0
  wait "$pid" || code=$?
}

part_has_begun() {
  [ -n "$(find "$STORE/.cache" -name '*.part' -size +90k)" ]
}

@test "interrupted by TERM and by INT: nothing half-made, and the next run goes on" {
  start_and_stall TERM
  [ "$code" = 143 ]
  grep -q 'interrupted by SIGTERM' "$PLACE/log"
  [ "$(store_names)" = ".cache" ]
  rm -rf "$STORE/.cache"
  start_and_stall INT
  [ "$code" = 130 ]
  [ "$(store_names)" = ".cache" ]
  rm -f "$STATE/faults" "$STATE/requests"
  run alpine
  [ "$status" = 0 ]
  says "going on with a download of which"
  grep -q "$FILE bytes=[1-9][0-9]*-" "$STATE/requests"
  [ -z "$(ls -A "$STORE/.cache")" ]
}

@test "killed by KILL: the next run clears away what was left" {
  start_and_stall KILL
  [ "$code" = 137 ]
  case $(store_names) in
    *.tmp-*) ;;
    *) false ;;
  esac
  # The download outlives the script and holds its lock: another run would wait until it ends.
  kill "$download"
  rm -f "$STATE/faults"
  run alpine
  [ "$status" = 0 ]
  says "clearing away what process"
  [ "$(store_names)" = ".cache alpine alpine.meta" ]
}

@test "a part that does not belong to the file is thrown away with the failed download" {
  start_and_stall TERM
  printf 'changed' | dd of="$(find "$STORE/.cache" -name '*.part')" conv=notrunc status=none
  rm -f "$STATE/faults"
  run alpine
  nothing_made
  says "wrong checksum"
  run alpine
  [ "$status" = 0 ]
}

@test "two runs for one name: one makes it, the other says so" {
  alpine --quiet >"$PLACE/one" 2>&1 3>&- &
  local first=$! a=0 b=0
  alpine --quiet >"$PLACE/two" 2>&1 || b=$?
  wait "$first" || a=$?
  [ $((a + b)) = 1 ]
  cat "$PLACE/one" "$PLACE/two"
  cat "$PLACE/one" "$PLACE/two" | grep -q 'is there already'
  [ "$(store_names)" = ".cache alpine alpine.meta" ]
}

@test "packages: the tool is checked, and called for that root, without scripts" {
  run alpine --packages python3,git --packages nodejs
  [ "$status" = 0 ]
  local arguments=$STORE/alpine/usr/share/added/arguments
  grep -qx -- --no-scripts "$arguments"
  [ "$(tail -n 4 "$arguments" | tr '\n' ' ')" = "add python3 git nodejs " ]
  grep -qx "$URL/v3.22/main" "$arguments"
  grep -qx "$URL/v3.22/community" "$arguments"
  [ "$(cat "$STORE/alpine/usr/share/added/mount-namespace")" != "$(readlink /proc/self/ns/mnt)" ]
  [ "$(cat "$STORE/alpine/usr/share/added/uid")" = 0 ]
  grep -qx "$URL/v3.22/main" "$STORE/alpine/etc/apk/repositories"
  grep -qx 'packages=python3 git nodejs' "$STORE/alpine.meta"
  is_whole_root "$STORE/alpine"
}

@test "packages: one that is not there" {
  run alpine --packages no-such-package
  nothing_made
  says "no-such-package (no such package)"
  run alpine --packages '../x'
  [ "$status" = 2 ]
  run alpine --packages=--root=/
  [ "$status" = 2 ]
}

# tampered WORDS COMMAND...: after the command on the mirror's repository no package is added, and WORDS are said.
tampered() {
  local words=$1
  shift
  cp "$PLACE/pristine/v3.22/main/$ARCH/"* "$MIRROR/v3.22/main/$ARCH/"
  (cd "$MIRROR/v3.22/main/$ARCH" && "$@")
  run alpine --packages git
  nothing_made
  says "$words"
}

flip_last_byte() {
  local at
  at=$(($(stat -c %s "$1") - 9))
  printf '\377' | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}

use_stranger() {
  openssl genrsa -out "$PLACE/rsa2.pem" 2048 2>/dev/null
  "$TESTS/make_packages.py" . "$PLACE/rsa2.pem" "$1" "$ARCH" "$TESTS/apk-stand-in"
}

# The second member takes the place of the first, which holds the signature.
unsign() {
  python3 -c 'import sys, zlib
data = open(sys.argv[1], "rb").read()
first = zlib.decompressobj(31); first.decompress(data)
second = zlib.decompressobj(31); second.decompress(first.unused_data)
length = len(first.unused_data) - len(second.unused_data)
open(sys.argv[1], "wb").write(first.unused_data[:length] + first.unused_data)' "$1"
}

@test "packages: a tampered tool or index is not used" {
  tampered "what its signature covers" flip_last_byte apk-tools-static-2.14.9-r3.apk
  tampered "bad signature of the package index" flip_last_byte APKINDEX.tar.gz
  tampered "bad signature of the package index" use_stranger test@clawrun-1.rsa.pub
  tampered "a key that this Alpine release does not have" use_stranger stranger.rsa.pub
  tampered "is version 2.10.0-r0" cp older.apk apk-tools-static-2.14.9-r3.apk
  tampered "is another package" cp other.apk apk-tools-static-2.14.9-r3.apk
  tampered "is not signed" unsign APKINDEX.tar.gz
  tampered "is not signed" unsign apk-tools-static-2.14.9-r3.apk
  tampered "is damaged" truncate -s 300 apk-tools-static-2.14.9-r3.apk
  tampered "is not there" rm apk-tools-static-2.14.9-r3.apk
}

@test "under busybox's own sh, with busybox's own tools" {
  run busybox sh "$SCRIPTS/alpine" --mirror "$URL" --key "$PLACE/release.asc" --fingerprint "$FINGERPRINT" --packages git
  [ "$status" = 0 ]
  is_whole_root "$STORE/alpine"
  [ "$(store_names)" = ".cache alpine alpine.meta" ]
}

@test "the presets name their packages" {
  run "$SCRIPTS/python" --dry-run
  [ "$status" = 0 ]
  says "packages=python3 py3-pip"
  says "name=python"
  run "$SCRIPTS/node" --dry-run --packages git --name mine
  says "packages=nodejs npm git"
  says "name=mine"
  run "$SCRIPTS/cc" --dry-run
  says "packages=build-base"
  run "$SCRIPTS/python" --mirror "$URL" --key "$PLACE/release.asc" --fingerprint "$FINGERPRINT"
  [ "$status" = 0 ]
  grep -qx 'script=python' "$STORE/python.meta"
}
