#!/usr/bin/env python3
"""Usage: vmlinux.py VMLINUZ VMLINUX

Takes the kernel out of a compressed image. QEMU enters an uncompressed one directly (the PVH boot protocol), so that the
emulated processor need not run the decompressor, which would be most of the time of a boot.
"""

import lzma
import sys
import zlib
from pathlib import Path

# The formats that a Debian kernel may be compressed with and Python can read, by their first bytes.
FORMATS = {
    b"\xfd7zXZ\0": lzma.LZMADecompressor,
    b"\x1f\x8b\x08": lambda: zlib.decompressobj(wbits=31),
}


def payloads(image):
    """What each place that looks like the start of a compressed stream holds; most of them are not one."""
    for magic, decompressor in FORMATS.items():
        at = image.find(magic)
        while at >= 0:
            try:
                yield decompressor().decompress(image[at:])
            except (lzma.LZMAError, zlib.error):
                pass
            at = image.find(magic, at + 1)


def main():
    source, target = map(Path, sys.argv[1:])
    kernel = next((p for p in payloads(source.read_bytes()) if p.startswith(b"\x7fELF")), None)
    if kernel is None:
        sys.exit(f"vm: {source} holds no kernel compressed with xz or gzip")
    target.write_bytes(kernel)


main()
