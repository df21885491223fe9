# shellcheck shell=sh disable=SC2034,SC2154 # variables of the scripts that source it, and for them
# What `setup` and `boot` share: where things are, and how they speak. Expects $here, this folder.

# Everything here can be made again. It belongs to the user, as whoever could write to it would choose the guest's kernel.
cache=${XDG_CACHE_HOME:-/var/tmp}/clawrun-vm-$(id -u)

# By its content: two checkouts may share the cache.
initrd=$cache/initrd-$(cat "$here/init.sh" "$here/initrd.py" | cksum | tr ' ' -)

# An ordinary user's PATH has not the folders of mkfs.ext4 and the like.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf 'vm: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 125
}

missing_commands() {
  for command in qemu-system-x86_64 python3 mkfs.ext4 dpkg-deb apt-get setpriv; do
    command -v "$command" >/dev/null || printf '%s ' "$command"
  done
}

missing_for_systemd() {
  for file in /lib/systemd/systemd /usr/bin/dbus-daemon /usr/lib/systemd/user/dbus.socket; do
    [ -e "$file" ] || printf '%s ' "$file"
  done
  [ -n "$(find /lib/*-linux-gnu/security /usr/lib/*-linux-gnu/security -name pam_systemd.so 2>/dev/null)" ] || printf 'pam_systemd.so '
}
