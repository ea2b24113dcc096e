#!/usr/bin/env python3
"""Makes docs/demo.svg, the picture in the README, from a real run of the program. To make it anew:

    cargo build --release && docs/picture.py target/release/runner > docs/demo.svg

Takes tmux. `runner demo` runs in it; the screen is captured when the first play is more than half done, and at the end.
"""

import html
import re
import shlex
import subprocess
import sys
import time

COLUMNS, ROWS = 100, 32
WIDTH, HEIGHT, SIZE, MARGIN = 8.4, 18, 14, 16
BACKGROUND, FOREGROUND, DIM = "#16191f", "#d3d7de", "#7d8590"
COLORS = {
    31: "#f47067", 32: "#57ab5a", 33: "#daaa3f", 34: "#539bf5", 35: "#b083f0", 36: "#39c5cf", 37: FOREGROUND,
    90: DIM, 91: "#ff938a", 92: "#6bc46d", 93: "#eac55f", 94: "#6cb6ff", 95: "#dcbdfb", 96: "#56d4dd", 97: "#ffffff",
}


def tmux(*words):
    """What a tmux command prints. The server is one of our own."""
    command = ["tmux", "-L", "runner-picture", "-f", "/dev/null", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wait_for(what, seconds):
    """Captures the screen again and again until `what` accepts its text. Answers it with its escapes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        screen = tmux("capture-pane", "-e", "-p")
        if what(re.sub(r"\x1b\[[0-9;]*m", "", screen)):
            return screen
        time.sleep(0.1)
    sys.exit("the screen that was waited for did not come; it shows:\n" + screen)


def half_done(text):
    bar = re.search(r"━ *─* +(\d+)/(\d+) tasks", text)
    return bar is not None and 0.5 < int(bar[1]) / int(bar[2]) < 0.95


def over(text):
    return text.rstrip().endswith("$") and "The second run" in text


def record(runner):
    shell = "exec env PS1='$ ' bash --norc --noprofile"
    tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), shell)
    try:
        wait_for(lambda text: text.strip() == "$", 10)
        # The shell calls it by its name, as a reader would.
        tmux("send-keys", f"runner() {{ {shlex.quote(runner)} \"$@\"; }}; clear", "Enter")
        wait_for(lambda text: text.strip() == "$", 10)
        tmux("send-keys", "runner demo", "Enter")
        return wait_for(half_done, 60), wait_for(over, 120)
    finally:
        tmux("kill-server")


def runs(line, style):
    """The pieces of a line that look alike: column, text, style."""
    column, pieces = 0, []
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        codes = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if codes is None:
            if part:
                pieces.append((column, part, dict(style)))
                column += len(part)
            continue
        for code in (int(word or 0) for word in codes[1].split(";")):
            if code == 0:
                style.clear()
            elif code in (1, 2):
                style["bold" if code == 1 else "dim"] = True
            elif code == 22:
                style.pop("bold", None), style.pop("dim", None)
            elif code == 39:
                style.pop("color", None)
            elif code in COLORS:
                style["color"] = COLORS[code]
    return pieces


def text_of(column, row, text, style):
    lead = len(text) - len(text.lstrip())
    column, text = column + lead, text.strip()
    if not text:
        return ""
    color = style.get("color", DIM if style.get("dim") else FOREGROUND)
    bold = ' font-weight="bold"' if style.get("bold") else ""
    x, y = MARGIN + column * WIDTH, MARGIN + SIZE + row * HEIGHT
    # The length keeps columns in line in any font.
    length = f' textLength="{len(text) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"'
    return f'<text x="{x:.1f}" y="{y}" fill="{color}"{bold}{length}>{html.escape(text)}</text>\n'


def draw(screens):
    body, row = "", 0
    for number, screen in enumerate(screens):
        if number > 0:
            y = MARGIN + row * HEIGHT + HEIGHT / 2
            body += f'<path d="M0 {y}H{2 * MARGIN + COLUMNS * WIDTH}" stroke="{DIM}" stroke-dasharray="2 4"/>\n'
            row += 1.5
        style = {}
        for line in screen.strip("\n").split("\n"):
            body += "".join(text_of(column, row, *piece) for column, *piece in runs(line, style))
            row += 1
    width, height = 2 * MARGIN + COLUMNS * WIDTH, 2 * MARGIN + row * HEIGHT
    fonts = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="{fonts}" font-size="{SIZE}" xml:space="preserve">\n'
        f'<title>runner demo, in the middle of the first run and at the end of the second</title>\n'
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>\n{body}</svg>\n'
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.stdout.write(draw(record(sys.argv[1])))
