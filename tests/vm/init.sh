#!/bin/busybox sh
# shellcheck shell=dash
# The guest's first process: makes a root out of the host's, and goes over into it.
#
# The host's / comes over 9p, read-only, and is the lower layer of an overlay whose upper layer is memory: the guest may write
# everywhere, and nothing of it reaches the host. /tmp, /run and /dev are the guest's own; folders of the host below them are
# laid over at their place ($visible). The share `control` is made by tests/vm/boot: `conf` and `command`.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
# The last line on the console is what tests/vm/boot says when there is no exit status.
die() {
  echo "vm: $*" >/dev/console
  poweroff -f
}

while read -r module; do
  insmod "/modules/$module" || die "the kernel refuses its module $module"
done </modules/order

# share TAG TARGET OPTIONS
share() {
  mkdir -p "$2"
  mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2" || die "no 9p share $1"
}

share control /control ro,cache=none
init='' kernel='' visible='' writable=''
# shellcheck disable=SC1091 # made by boot
. /control/conf
# A cache that is never revalidated: what the guest runs does not change while it runs.
share host /lower ro,cache=loose
mkdir -p /upper /root
mount -t tmpfs -o mode=755 upper /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /root || die 'no overlay'

mount --move /proc /root/proc
mount --move /sys /root/sys
mount --move /dev /root/dev
mkdir -p /root/dev/pts /root/dev/shm /root/dev/net
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /root/dev/pts
mount -t tmpfs -o mode=1777 shm /root/dev/shm
mount -t tmpfs -o mode=1777,size=60% tmp /root/tmp
mount -t tmpfs -o mode=755 run /root/run
mount -t bpf bpf /root/sys/fs/bpf
mount -t securityfs securityfs /root/sys/kernel/security
ln -s /proc/self/fd /root/dev/fd
for pair in stdin:0 stdout:1 stderr:2; do ln -s "/proc/self/fd/${pair#*:}" "/root/dev/${pair%:*}"; done
# No udev: what it would make. The ports of the console have their names in sysfs.
[ -e /root/dev/net/tun ] || mknod -m 666 /root/dev/net/tun c 10 200
[ -e /root/dev/fuse ] || mknod -m 666 /root/dev/fuse c 10 229
for port in /root/sys/class/virtio-ports/*; do ln -s "/dev/${port##*/}" "/root/dev/vm.$(cat "$port/name")"; done

printf '%s\n' "$visible" | while read -r folder; do
  if [ -n "$folder" ] && [ -d "/lower$folder" ]; then mkdir -p "/root$folder" && mount --bind "/lower$folder" "/root$folder"; fi
done
[ -z "$writable" ] || share writable "/root$writable" rw,cache=mmap,access=any
mkdir -p /root/run/vm /root/run/lock
mount --bind /control /root/run/vm
cp /bin/busybox /root/run/busybox
if [ -e /root/dev/vda ]; then
  mkdir /root/run/disk
  mount -t ext4 /root/dev/vda /root/run/disk || die 'the disk cannot be mounted'
fi

# The kernel's modules, and for the kernel itself a modprobe that loads them: the host may have none, and kmod's wants an index
# that busybox's depmod does not write.
rm -rf /root/usr/lib/modules /root/lib/modules
mkdir -p /root/usr/lib/modules
[ -e /root/lib/modules ] || ln -s /usr/lib/modules /root/lib/modules
ln -s "$kernel/modules" "/root/usr/lib/modules/$(uname -r)"
for name in modprobe insmod lsmod rmmod; do ln -sf /run/busybox "/root/usr/sbin/$name"; done
echo /usr/sbin/modprobe >/root/proc/sys/kernel/modprobe
ifconfig lo 127.0.0.1 up
hostname vm
rm -f /root/etc/hosts /root/etc/machine-id
echo '127.0.0.1 localhost vm' >/root/etc/hosts
echo 5f0d0c3a9b6e4b0c8a4f1e2d3c4b5a69 >/root/etc/machine-id

if [ "$init" != systemd ]; then
  mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /root/sys/fs/cgroup
  cat >/root/run/vm-init <<'END'
#!/bin/sh
trap '' TERM INT HUP
setsid /run/vm/command
exec /run/busybox poweroff -f
END
  chmod 755 /root/run/vm-init
  exec switch_root /root /run/vm-init
fi

# Of the host's units only those that a manager, its users and D-Bus need are left, whatever else the host starts at its own boot:
# its services are not ours to run, and each would be seconds in emulation.
units=/root/usr/lib/systemd/system
rm -rf /root/etc/systemd/system /root/etc/fstab
mkdir -p /root/etc/systemd/system
for folder in "$units"/*.target.wants; do
  for link in "$folder"/*; do
    case ${link##*/} in
      systemd-journald.* | systemd-journald-dev-log.socket | systemd-tmpfiles-setup.service | dbus.socket | systemd-logind.service) ;;
      *) rm -f "$link" ;;
    esac
  done
done
cat >"$units/vm.service" <<'END'
[Unit]
Description=The command of the test machine
Wants=dbus.socket systemd-logind.service systemd-user-sessions.service
After=dbus.socket systemd-logind.service systemd-user-sessions.service
[Service]
ExecStart=/run/vm/command
ExecStopPost=/run/busybox poweroff -f
Delegate=yes
TimeoutStartSec=infinity
END
exec switch_root /root /lib/systemd/systemd --unit=vm.service --log-level=warning --show-status=false
