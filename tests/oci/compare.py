#!/usr/bin/env python3
"""The same configurations under clawrun and under runc and crun, as TAP: what a process finds must be the same.

Usage: compare.py CLAWRUN [--peer PATH]... [--random N] [--seed N]
Configurations are those of real engines in configs/, with paths fitted to this machine, and N made up at random from what the
specification allows. A difference that is meant is a row of EXPLAINED, with its reason; anything else is a failure."""

import argparse
import atexit
import copy
import glob
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_S = 30
OWNER = 1 << 30  # whom the root of a user namespace is outside: nobody's id

# What a container prints about itself. Busybox alone.
PROBE = r"""
echo '#status'; grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:|Seccomp_filters|Cpus_allowed_list|Umask)' /proc/self/status
echo '#limits'; cat /proc/self/limits
echo '#mounts'; cat /proc/self/mountinfo
echo '#dev'; ls -ln /dev | sed 's/ [A-Z][a-z][a-z] [ 0-9]* [0-9:]* / /'
echo '#env'; env | grep -v '^SHLVL='
echo '#cwd'; pwd
echo '#host'; hostname; cat /proc/sys/kernel/domainname
echo '#oom'; cat /proc/self/oom_score_adj
echo '#fds'; ls /proc/self/fd | wc -l
echo '#maps'; cat /proc/self/uid_map /proc/self/gid_map
echo '#sys'; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null
echo '#write'; for f in / /tmp /proc/sys/kernel/domainname /sys /dev /proc/sysrq-trigger; do if [ -w $f ] && (: >$f/x || : >$f) 2>/dev/null; then echo "$f w"; else echo "$f r"; fi; done
echo '#masked'; for f in /proc/kcore /proc/keys /proc/timer_list /proc/acpi /sys/firmware; do echo "$f $(head -c 1 $f 2>/dev/null | wc -c) $(ls $f 2>/dev/null | wc -l)"; done
echo '#net'; ls /sys/class/net 2>/dev/null; cat /proc/net/dev | wc -l
echo '#sched'; awk '{print $18, $19, $40, $41}' /proc/self/stat
echo '#personality'; cat /proc/self/personality 2>/dev/null; uname -m
"""

CGROUP_FILES = ["memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.swappiness",
                "memory.oom_control", "cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpuset.cpus", "cpuset.mems",
                "pids.max", "devices.list", "blkio.bfq.weight", "net_cls.classid"]

# (runtime's name, section, line as a regular expression, why). A line of either side that matches is left out.
EXPLAINED = [
    ("runc", "mounts", r"^/ /proc/\S+ .* - tmpfs ", "a masked directory is a tmpfs with room for nothing here, and one with the host's defaults there"),
    ("runc", "mounts", r"^/ /sys/\S+ .* - tmpfs ", "the same"),
    ("runc", "mounts", r"^/null /proc/\S+ ", "the null device: ours is the host's node, runc's that of the container"),
    ("runc", "cgroup", r"^devices.list c (10:200|5:1) ", "runc 1.1 adds the tun device, which later versions do not; the specification names the console"),
    ("runc", "host", r"example.org|\(none\)", "runc 1.1 does not know domainname"),
    ("runc", "mounts", r" /sys/fs/cgroup/\S+ \S+ +- cgroup ", "without a cgroup namespace the hierarchies are read-only here (CVE-2022-0492)"),
    ("runc", "dev", r" mqueue$", "its group in a user namespace is root's here, and nobody's there"),
    ("crun", "dev", r" core -> /proc/kcore$", "a link that the specification does not name"),
    ("crun", "dev", r"^crw-rw-rw- .* 65534 .* (null|zero|full|random|urandom|tty)$", "devices of a user namespace are binds of the host's"),
    ("crun", "env", r"^HOME=/$", "where the image has no such user HOME is / here, as with runc, and missing with crun"),
    ("crun", "mounts", r"^/ /sys \S+ +- sysfs ", "ro of a file system is also the superblock's here, as with runc"),
    ("crun", "mounts", r" /sys/fs/cgroup", "crun has other sources and sizes for the directory of hierarchies"),
    ("crun", "mounts", r"^/(bus|fs|irq|sys|sysrq-trigger) /proc/", "a read-only path keeps the flags of /proc here, and loses them with crun"),
    ("crun", "mounts", r"^/ /(proc|sys)/\S+ .* - tmpfs ", "other sizes of a masked directory"),
    ("crun", "mounts", r"^/null /proc/\S+ ", "other flags on the null device that masks a file"),
    ("crun", "mounts", r"^/\w+ /dev/\w+ ", "devices of a user namespace are binds with other flags"),
    ("runc", "mounts", r" /dev/console ", "runc binds a console only with a terminal, as we do, but leaves the file"),
]


def sh(*words, **options):
    return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, **options)


def make_root(place):
    root = os.path.join(place, "rootfs")
    for name in ("bin", "proc", "sys", "dev", "tmp", "etc", "root", "sbin", "v", "t", "run"):
        os.makedirs(os.path.join(root, name), exist_ok=True)
    busybox = shutil.which("busybox") or "/bin/busybox"
    shutil.copy(busybox, os.path.join(root, "bin/busybox"))
    for applet in sh(busybox, "--list").stdout.split():
        target = os.path.join(root, "bin", applet)
        if not os.path.lexists(target):
            os.symlink("busybox", target)
    with open(os.path.join(root, "etc/passwd"), "w") as out:
        out.write("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n")
    with open(os.path.join(root, "bin/probe"), "w") as out:
        out.write("#!/bin/sh\n" + PROBE)
    os.chmod(os.path.join(root, "bin/probe"), 0o755)
    return root


def fit(config, caller):
    """Paths, hooks and limits that are another machine's become this one's."""
    config = copy.deepcopy(config)
    config["root"]["path"] = caller.root
    config.pop("hooks", None)
    process = config["process"]
    process["args"] = ["/bin/probe"]
    process["terminal"] = False
    process.pop("consoleSize", None)
    process.pop("apparmorProfile", None)
    process.pop("selinuxLabel", None)
    config["linux"].pop("mountLabel", None)
    with open("/proc/self/limits") as limits:
        hard = {line[:26].strip(): line[26:].split()[1] for line in limits.readlines()[1:]}
    names = {"RLIMIT_NOFILE": "Max open files", "RLIMIT_NPROC": "Max processes"}
    for row in process.get("rlimits") or []:
        most = hard.get(names.get(row["type"], ""), "unlimited")
        if most != "unlimited":
            row["hard"] = min(row["hard"], int(most))
            row["soft"] = min(row["soft"], row["hard"])
    with open("/proc/self/status") as status:
        bounding = int(re.search(r"CapBnd:\s*(\w+)", status.read())[1], 16)
    missing = [name for name, bit in (("CAP_SYS_RESOURCE", 24),) if not bounding >> bit & 1]
    for kind, names_of_kind in (process.get("capabilities") or {}).items():
        process["capabilities"][kind] = [name for name in names_of_kind or [] if name not in missing]
    if (process.get("oomScoreAdj") or 0) < 0:
        process["oomScoreAdj"] = 0
    for index, mount in enumerate(config["mounts"]):
        if mount.get("type") == "bind" or {"bind", "rbind"} & set(mount.get("options") or []):
            is_file = "." in os.path.basename(mount["destination"]) or mount["destination"].startswith(("/etc/", "/sbin/"))
            if mount["destination"] == "/dev/shm":
                is_file = False
            source = os.path.join(caller.place, f"{'file' if is_file else 'directory'}{index}")
            if is_file:
                open(source, "a").close()
            else:
                os.makedirs(source, exist_ok=True)
            mount["source"] = source
    for row in config["linux"].get("namespaces", []):
        row.pop("path", None)
    return config


def sections(text):
    found, name = {}, ""
    for line in text.splitlines():
        if line.startswith("#"):
            name = line[1:]
            found[name] = []
        else:
            found.setdefault(name, []).append(line)
    return found


def mount_line(line):
    """Without the numbers that are never the same: ids of mounts, devices and peer groups."""
    left, _, right = line.partition(" - ")
    fields = left.split()
    optional = sorted(re.sub(r":\d+", "", word) for word in fields[6:])
    kind, source, options = (right.split(" ", 2) + ["", ""])[:3]
    options = ",".join(sorted(word for word in options.split(",") if not word.startswith(("inode64", "lowerdir", "upperdir", "workdir"))))
    root = re.sub(r"/compare-\w+", "/ID", fields[3])
    return f"{root} {fields[4]} {','.join(sorted(fields[5].split(',')))} {' '.join(optional)} - {kind} {source} {options}"


def normal(found):
    for name in ("dev", "env", "mounts", "net"):
        lines = found.get(name, [])
        if name == "mounts":
            lines = [mount_line(line) for line in lines]
        found[name] = sorted(lines)
    return found


def cgroup_values(path):
    values = []
    for hierarchy in sorted(glob.glob("/sys/fs/cgroup/*")):
        for name in CGROUP_FILES:
            matches = glob.glob(f"{hierarchy}/**{path}/{name}", recursive=True) or glob.glob(f"{hierarchy}{path}/{name}")
            for file in matches[:1]:
                try:
                    with open(file) as text:
                        values += [f"{name} {line}" for line in text.read().splitlines() if not line.startswith(("under_oom", "oom_kill "))]
                except OSError:
                    pass
    # Where nodes of any device may be made, the "m" of a single one says nothing.
    for kind in "cb":
        if f"devices.list {kind} *:* m" in values:
            values = [re.sub(rf"^(devices.list {kind} \S+ r?w?)m$", r"\1", value) if not value.endswith("*:* m") else value for value in values]
    return sorted(set(values))


class Caller:
    """Who starts the runtimes: root, or with maps the root of a user namespace, as rootless Podman's are. It ends with this program."""

    def __init__(self, place, name, maps=""):
        self.place, self.words, self.first = os.path.join(place, name), [], None
        os.mkdir(self.place)
        self.root = make_root(self.place)
        if not maps:
            return
        self.first = subprocess.Popen(["unshare", "--user", "--mount", "--propagation", "slave", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)
        self.first.stdout.readline()
        for kind in ("uid", "gid"):
            with open(f"/proc/{self.first.pid}/{kind}_map", "w") as file:
                file.write(maps)
        self.words = ["nsenter", "--target", str(self.first.pid), "--user", "--mount", "--wdns=/", "--setuid", "0", "--setgid", "0"]
        # What its root makes belongs to whom it is outside.
        owner = int(maps.split()[1])
        sh("chown", "-R", f"{owner}:{owner}", self.place)

    def end(self):
        if self.first:
            self.first.communicate()


def observe(caller, runtime, bundle, ident, cgroup):
    base = [*caller.words, runtime, "--root", os.path.join(caller.place, os.path.basename(runtime))]
    # Not the host's /dev/null: crun gives what its stdin is to the container's user.
    nothing = tempfile.TemporaryFile("w+")
    out = tempfile.TemporaryFile("w+")
    err = tempfile.TemporaryFile("w+")
    made = subprocess.run([*base, "create", "--bundle", bundle, ident], stdin=nothing, stdout=out, stderr=err, timeout=LIMIT_S)
    if made.returncode != 0:
        err.seek(0)
        sh(*base, "delete", "--force", ident)
        return None, err.read().strip()
    values = cgroup_values(cgroup)
    started = sh(*base, "start", ident)
    for _ in range(400):
        answer = sh(*base, "state", ident)
        if answer.returncode != 0 or json.loads(answer.stdout)["status"] == "stopped":
            break
    sh(*base, "delete", "--force", ident)
    out.seek(0)
    found = normal({"status": []} | sections(out.read()))
    if started.returncode != 0 or not found["status"]:
        return None, started.stderr.strip() or "the probe said nothing"
    found["cgroup"] = values
    return found, ""


def differences(peer, ours, theirs):
    rows = []
    for name in sorted(set(ours) | set(theirs)):
        a, b = ours.get(name, []), theirs.get(name, [])
        explained = [re.compile(line) for who, section, line, _ in EXPLAINED if who == peer and section == name]
        if peer == "crun":  # leaves a mount private where it is to be shared; runc does not
            a, b = [line.replace(" shared", " ") for line in a], [line.replace(" shared", " ") for line in b]
        keep = lambda lines: [line for line in lines if not any(row.search(line) for row in explained)]
        a, b = keep(a), keep(b)
        if a == b:
            continue
        rows += [f"{name}: only clawrun: {line}" for line in a if line not in b]
        rows += [f"{name}: only {peer}: {line}" for line in b if line not in a]
        if sorted(a) == sorted(b):
            rows.append(f"{name}: another order")
    return rows


def random_config(base, rng):
    """One that the specification allows and this host can give."""
    config = copy.deepcopy(base)
    process, linux = config["process"], config["linux"]
    caps = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_FOWNER"]
    some = rng.sample(caps, rng.randrange(len(caps)))
    process["capabilities"] = {kind: some for kind in ("bounding", "effective", "permitted")}
    process["noNewPrivileges"] = rng.random() < 0.5
    if rng.random() < 0.4:
        process["user"] = {"uid": rng.choice([0, 1000, 65534]), "gid": rng.choice([0, 1000]), "additionalGids": rng.sample(range(1, 90), 3)}
        process["capabilities"] = {kind: some for kind in ("bounding", "effective", "permitted")}
    if rng.random() < 0.5:
        process["user"]["umask"] = rng.choice([0, 0o22, 0o77, 0o27])
    process["rlimits"] = [{"type": kind, "hard": value, "soft": value // 2} for kind, value in
                          rng.sample([("RLIMIT_NOFILE", 512), ("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", 1 << 30), ("RLIMIT_STACK", 8 << 20),
                                      ("RLIMIT_MEMLOCK", 1 << 16), ("RLIMIT_MSGQUEUE", 4096)], rng.randrange(4))]
    process["oomScoreAdj"] = rng.choice([0, 100, 500, 1000])
    process["cwd"] = rng.choice(["/", "/tmp", "/proc", "/new/dir"]) if config["root"].get("readonly") is False else rng.choice(["/", "/tmp"])
    process["env"] = ["PATH=/bin", f"A={rng.random()}"] + (["HOME=/tmp"] if rng.random() < 0.3 else [])
    config["root"]["readonly"] = rng.random() < 0.5
    if process["cwd"] == "/new/dir":
        process["cwd"] = "/"
    config["hostname"] = f"h{rng.randrange(1000)}"
    if rng.random() < 0.3:
        config["domainname"] = "example.org"
    words = ["nosuid", "nodev", "noexec", "ro", "rw", "noatime", "nodiratime", "strictatime", "relatime", "sync"]
    for index in range(rng.randrange(4)):
        kind = rng.choice(["tmpfs", "bind", "rbind"])
        options = rng.sample(words, rng.randrange(4))
        options = [word for word in options if not (word == "rw" and "ro" in options)]
        times = [word for word in options if "atime" in word and word != "nodiratime"]
        options = [word for word in options if word not in times[1:]]
        if kind != "tmpfs":
            options = [word for word in options if word != "sync"]
        row = {"destination": f"/m{index}", "type": "tmpfs" if kind == "tmpfs" else "bind", "source": "tmpfs" if kind == "tmpfs" else "x",
               "options": options + ([] if kind == "tmpfs" else [kind])}
        if kind == "tmpfs" and rng.random() < 0.5:
            row["options"].append(rng.choice(["size=64k", "mode=700", "size=1m,mode=1777"]))
        if rng.random() < 0.3:
            row["options"].append(rng.choice(["rprivate", "rslave", "private", "rshared"]))
        config["mounts"].append(row)
    if config["mounts"] and rng.random() < 0.2:
        config["mounts"] = [row for row in config["mounts"] if row["destination"] != "/dev/mqueue"]
    if rng.random() < 0.3:
        linux["devices"] = [{"path": "/dev/extra", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 0, "gid": 5}]
    linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    if rng.random() < 0.5:
        linux["resources"]["memory"] = {"limit": rng.choice([64, 128]) << 20}
        if rng.random() < 0.5:
            linux["resources"]["memory"]["reservation"] = 32 << 20
    if rng.random() < 0.5:
        linux["resources"]["cpu"] = rng.choice([{"shares": 512}, {"quota": 50000, "period": 100000}, {"shares": 2}, {"cpus": "0"}])
    if rng.random() < 0.5:
        linux["resources"]["pids"] = {"limit": rng.choice([50, 100])}
    if rng.random() < 0.3:
        linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"}
    kinds = [row for row in linux["namespaces"] if row["type"] in ("mount", "pid") or rng.random() < 0.9]
    if rng.random() < 0.5 and not any(row["type"] == "cgroup" for row in kinds):
        kinds.append({"type": "cgroup"})
    have = {row["type"] for row in kinds}
    if "uts" not in have:
        config.pop("hostname", None)
        config.pop("domainname", None)
    if "network" not in have or "ipc" not in have:
        linux.pop("sysctl", None)
    if "ipc" not in have:
        config["mounts"] = [row for row in config["mounts"] if row["type"] != "mqueue"]
    if "network" not in have:
        kinds.append({"type": "network"})  # sysfs and the host's interfaces are another matter
    linux["namespaces"] = kinds
    linux["maskedPaths"] = rng.sample(["/proc/kcore", "/proc/keys", "/proc/acpi", "/sys/firmware", "/proc/timer_list"], rng.randrange(5))
    linux["readonlyPaths"] = rng.sample(["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"], rng.randrange(5))
    return config


def clear_away(place):
    shutil.rmtree(place, ignore_errors=True)
    for hierarchy in glob.glob("/sys/fs/cgroup/**/clawrun-compare", recursive=True):
        try:
            os.rmdir(hierarchy)
        except OSError:
            pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("clawrun")
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--random", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    place = tempfile.mkdtemp(prefix="clawrun-compare.")
    atexit.register(clear_away, place)  # also where this fails
    os.chmod(place, 0o755)
    root = Caller(place, "root")
    user = Caller(place, "user", maps=f"0 {OWNER} 1\n1 {OWNER + 1} 65535\n")
    atexit.register(user.end)
    configs = []
    for path in sorted(glob.glob(f"{HERE}/configs/*config.json")):
        caller = user if "rootless" in path else root
        configs.append((os.path.basename(path), caller, fit(json.load(open(path)), caller)))
    plain = next(config for name, _, config in configs if name.startswith("podman-rootful"))
    rng = random.Random(arguments.seed)
    configs += [(f"random {number}", root, fit(random_config(plain, rng), root)) for number in range(arguments.random)]
    count = bad = 0
    for peer in arguments.peer:
        who = os.path.basename(peer)
        for number, (name, caller, config) in enumerate(configs):
            ident = f"compare-{os.getpid()}-{number}"
            cgroup = f"/clawrun-compare/{ident}"
            if caller is root:  # nobody else may make one
                config["linux"]["cgroupsPath"] = cgroup
            bundle = os.path.join(caller.place, f"bundle{number}")
            os.makedirs(bundle, exist_ok=True)
            with open(os.path.join(bundle, "config.json"), "w") as out:
                json.dump(config, out)
            theirs, why = observe(caller, peer, bundle, ident, cgroup)
            ours, our_why = observe(caller, arguments.clawrun, bundle, ident, cgroup)
            count += 1
            label = f"{name} is the same under clawrun and {who}"
            if theirs is None:
                print(f"ok {count} - {label} # SKIP {who} does not start it: {why.splitlines()[-1][:150] if why else ''}")
                continue
            rows = differences(who, ours, theirs) if ours is not None else [f"clawrun does not start it: {our_why}"]
            bad += bool(rows)
            print(f"{'not ok' if rows else 'ok'} {count} - {label}")
            for row in rows[:20]:
                print(f"#   {row}")
    print(f"1..{count}")
    sys.exit(1 if bad else 0)


main()
