#!/usr/bin/env python3
"""The table of a seccomp profile, as `clawrun seccomp show NAME --table` prints it, in the words of syscall_matrix.

Usage: matrix.py CLAWRUN PROFILE

Every number from 0 to LAST is there, and what lies beyond each condition: for each value that decides, a call with it and a
call with the same value and high bits that the kernel does not look at.
"""

import re
import subprocess
import sys

LAST = 470
LINE = re.compile(r"^\s*(\d+|\*)\s+(every other number|other architectures|\S+)\s+(.*)$")
CONDITION = re.compile(r"arg(\d) (?:& (0x[0-9a-f]+) )?([=!]=) (0x[0-9a-f]+)")
HIGH = 0x7FFFFFFF00000000
# What syscall_matrix passes to calls whose table has conditions: the outcome of these numbers is that of these arguments.
PASSED = {"clone": [17], "unshare": [0], "personality": [0xFFFFFFFF], "socket": [1, 1, 0], "socketpair": [1, 1, 0],
          "ioctl": [(1 << 64) - 1, 0x5401]}
DEFAULT = [(1 << 64) - 1] * 6


def word_of(action):
    """`allow`, or the name of an errno."""
    action = action.strip()
    return "allow" if action in ("allow", "log") else action.removeprefix("errno ")


def answer(rules, otherwise, args):
    for action, conditions in rules:
        if all(((args[i] & mask) == value) == equal for i, mask, equal, value in conditions):
            return word_of(action)
    return word_of(otherwise)


def parse(text):
    """number → (name, conditional rules, otherwise); the answer of all other numbers."""
    table, default = {}, None
    for line in text.splitlines():
        match = LINE.match(line)
        if not match:
            raise SystemExit(f"matrix.py: this line is not understood: {line}")
        number, name, rest = match.groups()
        if name == "every other number":
            default = rest
        if number == "*":
            continue
        *conditional, last = rest.split("; ")
        rules = []
        for part in conditional:
            action, _, when = part.partition(" when ")
            conditions = [(int(i), int(m, 16) if m else (1 << 64) - 1, op == "==", int(v, 16)) for i, m, op, v in CONDITION.findall(when)]
            if len(conditions) != when.count(" and ") + 1:
                raise SystemExit(f"matrix.py: this condition is not understood: {part}")
            rules.append((action, conditions))
        table[int(number)] = (name, rules, last.removeprefix("otherwise "))
    return table, default


def conditional_rows(number, name, rules, otherwise):
    """Calls on both sides of each condition, with high bits and without."""
    if name in ("execve", "execveat", "clone"):
        return  # the filter's answer for them is tried by name elsewhere: they would replace or copy the process
    for _, conditions in rules:
        for high in (0, HIGH):
            for flip in (0, 1):
                args = [0] * 6
                # Nothing is to happen where the call is let through: a descriptor that is not open, a pointer to nothing.
                if name == "ioctl":
                    args[0] = 0xFFFFFFFF
                if name in ("socket", "socketpair"):
                    args[1] = 0xFF  # no such type
                for i, mask, _, value in conditions:
                    args[i] = value ^ flip | (high & ~mask)
                expected = answer(rules, otherwise, args)
                if expected == "allow" and name in ("personality", "unshare", "clone"):
                    continue
                yield f"{number} {expected} {' '.join(hex(a) for a in args)} # {name} {' '.join(hex(a) for a in args[:3])}"


def main():
    clawrun, profile = sys.argv[1:3]
    shown = subprocess.run([clawrun, "seccomp", "show", profile, "--table"], stdout=subprocess.PIPE, text=True, check=True).stdout
    table, default = parse(shown)
    for number in range(LAST + 1):
        name, rules, otherwise = table.get(number, ("?", [], default))
        args = (PASSED.get(name, []) + DEFAULT)[:6]
        print(f"{number} {answer(rules, otherwise, args)} # {name}")
        for row in conditional_rows(number, name, rules, otherwise):
            print(row)
    if table.get(59, ("",))[0] == "execve":  # x86_64: the other two entries of the machine
        print("0x40000027 ENOSYS # x32 getpid")
        for number in (1, 11, 20, 120, 162):
            print(f"i386 {number} ENOSYS")


main()
