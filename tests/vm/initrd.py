#!/usr/bin/env python3
"""Usage: initrd.py KERNEL INIT INITRD

An initramfs of busybox, the script INIT, and the modules that stand between the kernel and its root filesystem, in the
order in which they are to be inserted (/modules/order). KERNEL is the folder that tests/vm/setup makes.
"""

import lzma
import sys
from pathlib import Path

# The root is the host's, over 9p, below an overlay; output leaves through ports of a virtio console; boot's -d is a virtio disk
# with ext4, which asks for crc32c by another name than its module's.
WANTED = ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay", "virtio_blk", "crc32c_generic", "ext4"]
FOLDERS = ["bin", "dev", "modules", "proc", "sys"]


def module_name(path):
    """The kernel takes - and _ for the same."""
    return path.name.split(".ko")[0].replace("-", "_")


def dependencies(folder):
    """Module -> its file, and the files that it needs, the innermost last: modules.dep(5)."""
    needs = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        file, _, others = line.partition(":")
        needs[module_name(Path(file))] = [Path(file), *map(Path, others.split())]
    return needs


def in_order(folder):
    needs, order = dependencies(folder), []
    # One that is not there is built into the kernel.
    for name in WANTED:
        order += [file for file in reversed(needs.get(name, [])) if file not in order]
    return order


def module_bytes(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def entry(name, mode, data=b""):
    """One file of a "newc" archive: Documentation/driver-api/early-userspace/buffer-format.rst"""
    encoded = name.encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def archive(kernel, init):
    yield from (entry(folder, 0o040755) for folder in FOLDERS)
    yield entry("bin/busybox", 0o100755, (kernel / "busybox").read_bytes())
    yield entry("init", 0o100755, init.read_bytes())
    order = in_order(kernel / "modules")
    for file in order:
        yield entry(f"modules/{module_name(file)}", 0o100644, module_bytes(kernel / "modules" / file))
    yield entry("modules/order", 0o100644, "".join(f"{module_name(file)}\n" for file in order).encode())
    yield entry("TRAILER!!!", 0)


def main():
    kernel, init, target = map(Path, sys.argv[1:])
    # Not compressed: QEMU copies it into the guest's memory, which costs less than the emulated decompressor.
    target.write_bytes(b"".join(archive(kernel, init)))


main()
