#!/usr/bin/env python3
"""Draws the figures of the benchmarks: plot.py OUT.svg TITLE=FILE.json...

One panel for each file: a bar for each row, as long as its median, with a line to its 95th percentile."""
import html
import json
import sys

WIDTH, LABEL, BAR, ROW, HEAD, GAP = 900, 250, 480, 24, 34, 22
OURS, OTHERS, TEXT, FAINT = "#1b6ac9", "#b8bec7", "#1f2328", "#6e7781"


def milliseconds(us):
    return f"{us / 1000:.2f} ms" if us < 10000 else f"{us / 1000:.1f} ms"


def is_ours(name):
    return any(word in name for word in ("clawrun", "cold", "parked", "primed", "first byte"))


def panel(title, rows, top):
    """The lines of one panel that begins at `top`, and where it ends."""
    rows = [row for row in rows if "median_us" in row]
    longest = max(row["median_us"] for row in rows)
    lines = [f'<text x="0" y="{top + 16}" class="title">{html.escape(title)}</text>']
    y = top + HEAD
    for row in rows:
        width = max(1.5, BAR * row["median_us"] / longest)
        reach = min(BAR + 40, BAR * row["p95_us"] / longest)
        middle = y + ROW / 2
        color = OURS if is_ours(row["name"]) else OTHERS
        lines.append(f'<text x="{LABEL - 10}" y="{middle + 4}" text-anchor="end">{html.escape(row["name"])}</text>')
        lines.append(f'<rect x="{LABEL}" y="{y + 4}" width="{width:.1f}" height="{ROW - 8}" rx="2" fill="{color}"/>')
        lines.append(f'<line x1="{LABEL + width:.1f}" x2="{LABEL + max(width, reach):.1f}" y1="{middle}" y2="{middle}" stroke="{color}" stroke-width="2"/>')
        lines.append(f'<text x="{LABEL + max(width, reach) + 8:.1f}" y="{middle + 4}" class="figure">{milliseconds(row["median_us"])}</text>')
        y += ROW
    return lines, y + GAP


def main():
    if len(sys.argv) < 3 or any("=" not in word for word in sys.argv[2:]):
        sys.exit(__doc__)
    lines, top = [], 8
    for word in sys.argv[2:]:
        title, path = word.split("=", 1)
        with open(path, encoding="utf-8") as file:
            more, top = panel(title, json.load(file)["rows"], top)
        lines += more
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-16 0 {WIDTH + 32} {top}" width="{WIDTH + 32}" height="{top}" role="img">\n')
        out.write(f"<style>text{{font:13px system-ui,sans-serif;fill:{TEXT}}}.title{{font-weight:600;font-size:15px}}.figure{{fill:{FAINT}}}</style>\n")
        out.write(f'<rect x="-16" width="{WIDTH + 32}" height="{top}" fill="#ffffff"/>\n')
        out.write("\n".join(lines) + "\n</svg>\n")


main()
