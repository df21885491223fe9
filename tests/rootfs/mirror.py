#!/usr/bin/env python3
"""A mirror on 127.0.0.1 for the tests: serves a directory with byte ranges, and fails where it is told to.

usage: mirror.py DIRECTORY STATE
STATE is a directory: `port` gets the port, `requests` one line for each request ("PATH RANGE"), and `faults` is read anew for
each request: lines "cut SUFFIX BYTES" (once: break off after so many bytes), "stall SUFFIX BYTES" (send so many, then
nothing for a minute) and "norange SUFFIX" (as a server without ranges).
"""

import html
import http.server
import os
import sys
import time
from pathlib import Path

ROOT, STATE = Path(sys.argv[1]).resolve(), Path(sys.argv[2])


def take_fault(path):
    faults = STATE / "faults"
    lines = faults.read_text().splitlines() if faults.exists() else []
    for line in lines:
        kind, suffix, *rest = line.split()
        if path.endswith(suffix):
            if kind == "cut":
                lines.remove(line)
                faults.write_text("".join(f"{other}\n" for other in lines))
            return kind, int(rest[0]) if rest else 0
    return None, 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = self.headers.get("Range", "-")
        with open(STATE / "requests", "a", encoding="utf-8") as log:
            log.write(f"{self.path} {wanted}\n")
        file = (ROOT / self.path.lstrip("/")).resolve()
        if file.is_dir():
            links = "".join(f'<a href="{html.escape(n)}{"/" if (file / n).is_dir() else ""}">x</a>\n' for n in sorted(os.listdir(file)))
            self.answer(200, links.encode(), {})
        elif file.is_file():
            self.send_file(file, wanted)
        else:
            self.answer(404, b"not here\n", {})

    def send_file(self, file, wanted):
        body = file.read_bytes()
        kind, size = take_fault(self.path)
        if wanted.startswith("bytes=") and kind != "norange":
            first = int(wanted[6:].split("-")[0])
            if first >= len(body):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
                return
            fields = {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"}
            self.answer(206, body[first:], fields, kind, size)
        else:
            self.answer(200, body, {}, kind, size)

    def answer(self, status, body, fields, kind=None, size=0):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for key, value in fields.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[:size] if kind in ("cut", "stall") else body)
        self.wfile.flush()
        if kind == "stall":
            time.sleep(60)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
(STATE / "port.new").write_text(str(server.server_address[1]))
(STATE / "port.new").rename(STATE / "port")
server.serve_forever()
