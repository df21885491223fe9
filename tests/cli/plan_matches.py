"""Usage: plan_matches.py CLAWRUN [OPTION...]: what --dry-run prints against what a command finds inside. Exits 1 with the differences."""

import json
import os
import resource
import subprocess
import sys

INSIDE = r"""
import json, os, resource
status = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
umask = os.umask(0)
print(json.dumps({
    "mounts": [line.split() for line in open("/proc/self/mountinfo")],
    "argv": open("/proc/self/cmdline").read().split("\0")[:-1],
    "environment": open("/proc/self/environ").read().split("\0")[:-1],
    "limits": {str(n): resource.getrlimit(n) for n in range(16)},
    "umask": umask, "cwd": os.getcwd(), "uid": os.getresuid(), "gid": os.getresgid(), "hostname": os.uname().nodename, "pid": os.getpid(),
    "namespaces": {n: os.readlink("/proc/self/ns/" + n) for n in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time")},
    "uid_map": open("/proc/self/uid_map").read().split(), "caps": int(status["CapEff"], 16), "bounding": int(status["CapBnd"], 16),
    "no_new_privs": status["NoNewPrivs"], "filters": int(status.get("Seccomp_filters", 0)),
}))
"""

NAMESPACE_FILES = {"user": "user", "mount": "mnt", "pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup", "time": "time"}
MOUNTS = ("filesystem", "bind", "device", "mask", "self_bind")
# Hidden or protected only where the kernel has them.
OPTIONAL = ("mask", "self_bind")

problems = []


def same(what, planned, found):
    if planned != found:
        problems.append(f"{what}: the plan has {planned!r}, inside is {found!r}")


def resolve(target, links):
    """The target with the symbolic links that the plan itself makes (/bin -> usr/bin) followed."""
    parts = target.strip("/").split("/")
    if parts[0] in links:
        return "/" + links[parts[0]].strip("/") + "".join("/" + p for p in parts[1:])
    return target


def planned_mounts(plan):
    """Mount point -> attributes, `None` where it may be missing; and the tops of recursive binds, which may have more below."""
    found, base, recursive, maybe = {}, None, [], set()
    links = {op["target"].strip("/"): op["source"] for op in plan["operations"] if op["op"] == "symlink" and op["target"].count("/") == 1}
    for op in plan["operations"]:
        if op["op"] == "enter":
            # What was made before lies under the new root, which itself stays; the stage around it goes away.
            base = op["target"]
            found = {("/" + p[len(base):].strip("/")): a for p, a in found.items() if p == base or p.startswith(base + "/")}
            continue
        target = resolve(op["target"], links) if "target" in op else None
        if op["op"] in MOUNTS:
            found[target] = set(op.get("attributes", ()))
            if op["op"] in OPTIONAL:
                maybe.add(target)
            if op["op"] == "device":
                found[target] |= {"nosuid", "noexec"}
            if op.get("recursive"):
                recursive.append(target)
        if op["op"] == "attributes" and target in found:
            found[target] |= set(op["attributes"])
    return found, recursive, maybe


def check_mounts(plan, mounts):
    planned, recursive, maybe = planned_mounts(plan)
    inside = {}
    for fields in mounts:
        inside[fields[4]] = set(fields[5].split(",")) & {"ro", "nosuid", "nodev", "noexec"}
    for point, attributes in inside.items():
        if point in planned:
            missing = planned[point] - attributes if planned[point] is not None else set()
            if missing:
                problems.append(f"{point}: the plan has {sorted(missing)}, the mount does not")
        elif not any(point.startswith(top.rstrip("/") + "/") for top in recursive):
            problems.append(f"{point} is mounted and is not in the plan")
    for point in planned.keys() - inside.keys() - maybe:
        problems.append(f"{point} is in the plan and not mounted")


def main():
    clawrun, options = sys.argv[1], sys.argv[2:]
    command = [clawrun, "exec", "--rootfs", "host", *options]
    tail = ["--", "python3", "-c", INSIDE]
    plan = json.loads(subprocess.run([*command, "--dry-run", *tail], check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout)
    ran = subprocess.run([*command, *tail], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True)
    found = json.loads(ran.stdout)

    check_mounts(plan, found["mounts"])
    same("argv", plan["argv"], found["argv"])
    same("environment", plan["environment"], found["environment"])
    same("umask", int(plan["umask"], 8), found["umask"])
    same("workdir", plan["workdir"], found["cwd"])
    same("uid", [plan["ids"]["uid"]] * 3, found["uid"])
    same("gid", [plan["ids"]["gid"]] * 3, found["gid"])
    for op in plan["operations"]:
        if op["op"] == "hostname":
            same("hostname", op["source"], found["hostname"])
    same("pid", 2 if plan["init"] else 1, found["pid"])
    for name, file in NAMESPACE_FILES.items():
        same(f"own {name} namespace", name in plan["namespaces"], found["namespaces"][file] != os.readlink("/proc/self/ns/" + file))
    for key, planned in zip(("inside", "outside", "count"), found["uid_map"]):
        wanted = plan["ids"]["uid_map"][0].get(key)
        if isinstance(wanted, int):
            same(f"uid_map {key}", wanted, int(planned))
    limits = {str(row["resource"]): [row["soft"], row["hard"]] for row in plan["confinement"]["rlimits"]}
    for number, pair in found["limits"].items():
        same(f"resource limit {number}", limits.get(number, list(resource.getrlimit(int(number)))), pair)
    same("capabilities", len(plan["confinement"]["capabilities"]), found["caps"].bit_count())
    same("bounding set", found["caps"], found["bounding"])
    same("no_new_privs", "1", found["no_new_privs"])
    own = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("Seccomp_filters")))
    same("seccomp filters", len(plan["confinement"]["seccomp"]["filters"]) + own, found["filters"])
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


main()
