#!/usr/bin/env python3
"""Makes Alpine packages for the tests: the index of a repository and apk-tools-static, signed with an RSA key.

usage: make_packages.py REPOSITORY KEY KEYNAME ARCH TOOL
Debian has no apk, so TOOL is a stand-in: a script that answers as apk does. The formats and signatures around it are real.
"""

import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

repository, key, key_name, arch, tool = sys.argv[1:]
VERSION = "2.14.9-r3"


def tar(files, cut):
    """A tar archive; without the blocks at its end where another archive follows (`cut`), as the format wants it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data, mode in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
        end = archive.offset
    return out.getvalue()[:end] if cut else out.getvalue()


def member(files, cut=True):
    return gzip.compress(tar(files, cut), mtime=0)


def signature(signed, digest):
    kind = {"sha1": "RSA", "sha256": "RSA256"}[digest]
    made = subprocess.run(["openssl", "dgst", f"-{digest}", "-sign", key], input=signed, capture_output=True, check=True).stdout
    return member([(f".SIGN.{kind}.{key_name}", made, 0o644)])


def package(path, version, digest, name="apk-tools-static"):
    data = member([("sbin/apk.static", Path(tool).read_bytes(), 0o755)], cut=False)
    info = f"# a test\npkgname = {name}\npkgver = {version}\narch = {arch}\ndatahash = {hashlib.sha256(data).hexdigest()}\n"
    control = member([(".PKGINFO", info.encode(), 0o644)])
    path.write_bytes(signature(control, digest) + control + data)


directory = Path(repository)
directory.mkdir(parents=True, exist_ok=True)
index = "".join(f"P:{name}\nV:{version}\nA:{arch}\n\n" for name, version in
                [("apk-tools", "9.9.9-r9"), ("apk-tools-static", VERSION), ("zlib", "1.3.1-r2")])
files = member([("DESCRIPTION", b"test", 0o644), ("APKINDEX", index.encode(), 0o644)], cut=False)
(directory / "APKINDEX.tar.gz").write_bytes(signature(files, "sha256") + files)
package(directory / f"apk-tools-static-{VERSION}.apk", VERSION, "sha1")
package(directory / "older.apk", "2.10.0-r0", "sha1")
package(directory / "other.apk", VERSION, "sha1", name="zlib")
