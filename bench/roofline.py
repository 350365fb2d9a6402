"""The roofline of a run as SVG: the machine's limits, and every benchmark at its work per byte.

Usage: roofline.py RESULTS.json OUT.svg     from `nibble bench -o json` or Google Benchmark (bench_cpu)

Both axes are logarithmic: multiplications per byte read to the right, 1e9 multiplications a second upwards. A point
on the slanted line reads as fast as the machine can; one on a level line computes as fast as that instruction can.
"""
import html
import json
import math
import sys

WIDTH, HEIGHT = 960, 600
LEFT, RIGHT, TOP, BOTTOM = 70, 250, 50, 60  # margins; labels of limits on the right
COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6bb1", "#b8860b", "#56b4e9", "#7f7f7f"]
STYLE = """
  svg { background: #fff; color: #222; font: 12px system-ui, sans-serif }
  text { fill: currentColor } .grid { stroke: currentColor; opacity: .12 } .limit { stroke: currentColor; fill: none }
  .quiet { opacity: .65 } .title { font-size: 16px; font-weight: 600 }
  @media (prefers-color-scheme: dark) { svg { background: #16181c; color: #e6e6e6 } }
"""


class Run:
    """Limits and points of a file: read_gbps, peaks [(name, gmacs)], points [(group, name, macs per byte, gmacs)]."""

    def __init__(self, data):
        self.peaks, self.points = [], []
        (self.read_bench if isinstance(data, list) else self.read_google)(data)
        self.points = [p for p in self.points if p[2] > 0 and p[3] > 0]
        if not self.points or not self.peaks:
            raise ValueError("no limits, or no benchmarks that multiply")

    def read_bench(self, records):
        limits = max((r["limits"] for r in records), key=lambda limit: limit["n_threads"])
        tiers = {r["tier"] for r in records}
        self.title = f"{records[0]['model']} on {records[0]['cpu']}, {limits['n_threads']} threads"
        self.read_gbps = limits["read_gbps"]
        self.peaks = [(f"{p['type']} {p['instruction']}", p["gmacs"]) for p in limits["peaks"] if p["tier"] in tiers]
        for r in records:
            if r["n_threads"] == limits["n_threads"]:
                macs = r["gmacs"] + r["attend_gmacs"]
                self.points.append((r["backend"], r["test"], macs / r["gbps"], macs))

    def read_google(self, run):
        context = run["context"]
        self.title = f"{context.get('host_name', '')}, one thread"
        self.read_gbps = float(context["limit GB/s"])
        tiers = {b["name"].split("/")[1].split("+")[0] for b in run["benchmarks"] if "GMAC/s" in b}
        for key, value in context.items():
            words = key.split(" ", 3)
            if words[:2] == ["limit", "GMAC/s"] and words[2] in tiers:
                self.peaks.append((words[3], float(value)))
        kernels = [b for b in run["benchmarks"] if "GMAC/s" in b]
        medians = [b for b in kernels if b.get("aggregate_name") == "median"]  # of repetitions, where there are any
        for b in medians or kernels:
            kind, tier, name = b.get("run_name", b["name"]).split("/", 2)
            self.points.append((f"{kind}/{tier}", name, b["GMAC/s"] / b["GB/s"], b["GMAC/s"]))


class Axes:
    def __init__(self, run):
        best = max(gmacs for _, gmacs in run.peaks)
        xs = [x for _, _, x, _ in run.points] + [best / run.read_gbps]
        ys = [y for _, _, _, y in run.points] + [best]
        self.x = self.decades(xs)
        self.y = self.decades(ys)

    @staticmethod
    def decades(values):
        return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values) * 1.2))

    def at(self, x, y):
        """Pixels of a point."""
        across = (math.log10(x) - self.x[0]) / (self.x[1] - self.x[0])
        up = (math.log10(y) - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def text(x, y, content, attributes=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{html.escape(content)}</text>'


def line(start, end, kind):
    return f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" class="{kind}"/>'


def draw_grid(axes):
    (x0, x1), (y0, y1) = axes.x, axes.y
    for power in range(x0, x1 + 1):
        foot = axes.at(10**power, 10**y0)
        yield line(foot, axes.at(10**power, 10**y1), "grid")
        yield text(foot[0], foot[1] + 18, f"{10.0**power:g}", 'text-anchor="middle"')
    for power in range(y0, y1 + 1):
        foot = axes.at(10**x0, 10**power)
        yield line(foot, axes.at(10**x1, 10**power), "grid")
        yield text(foot[0] - 8, foot[1] + 4, f"{10.0**power:g}", 'text-anchor="end"')
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield text(middle, HEIGHT - 18, "multiplications per byte read", 'text-anchor="middle"')
    yield text(18, HEIGHT / 2, "GMAC/s", f'text-anchor="middle" transform="rotate(-90 18 {HEIGHT / 2})"')


def draw_limits(run, axes):
    best = max(gmacs for _, gmacs in run.peaks)
    lowest = max(10.0 ** axes.x[0], 10.0 ** axes.y[0] / run.read_gbps)
    yield line(axes.at(lowest, lowest * run.read_gbps), axes.at(best / run.read_gbps, best), "limit")
    end = axes.at(10.0 ** axes.x[1], best)[0] + 8
    above = 0.0  # pixel row of the label above
    for name, gmacs in sorted(run.peaks, key=lambda peak: -peak[1]):
        row = axes.at(1, gmacs)[1]
        yield line(axes.at(gmacs / run.read_gbps, gmacs), (end - 8, row), "limit")
        above = max(above + 14, row + 4)
        yield text(end, above, f"{gmacs:.0f} {name}")
    (x0, y0), (x1, y1) = axes.at(lowest, lowest * run.read_gbps), axes.at(best / run.read_gbps, best)
    turn = f'transform="rotate({math.degrees(math.atan2(y1 - y0, x1 - x0)):.1f} {x0:.1f} {y0:.1f})"'
    yield text(x0 + 12, y0 - 7, f"{run.read_gbps:.1f} GB/s read", turn)


def draw_points(run, axes):
    groups = sorted({group for group, _, _, _ in run.points})
    for number, group in enumerate(groups):
        color = COLORS[number % len(COLORS)]
        members = [p for p in run.points if p[0] == group]
        for _, name, x, y in members:
            px, py = axes.at(x, y)
            roof = min(x * run.read_gbps, max(gmacs for _, gmacs in run.peaks))
            tip = html.escape(f"{group} {name}: {y:.1f} GMAC/s, {100 * y / roof:.0f} % of the roof")
            yield f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4.5" fill="{color}"><title>{tip}</title></circle>'
        yield from draw_names(members, axes)
        row = HEIGHT - BOTTOM - 16 * (len(groups) - number)
        yield f'<circle cx="{WIDTH - RIGHT + 14}" cy="{row - 4}" r="4.5" fill="{color}"/>'
        yield text(WIDTH - RIGHT + 24, row, group)


def draw_names(points, axes):
    """Names of the points that have room for one."""
    taken = []
    for _, name, x, y in sorted(points, key=lambda p: -p[3]):
        px, py = axes.at(x, y)
        if all(abs(px - qx) > 7 * len(name) or abs(py - qy) > 12 for qx, qy in taken):
            taken.append((px, py))
            yield text(px + 8, py + 4, name, 'class="quiet" font-size="10"')


def draw(run):
    axes = Axes(run)
    body = [text(LEFT, 28, run.title, 'class="title"')]
    body += [*draw_grid(axes), *draw_limits(run, axes), *draw_points(run, axes)]
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', f"<style>{STYLE}</style>", *body, "</svg>\n"])


def main(results, out):
    with open(results) as file:
        svg = draw(Run(json.load(file)))
    with open(out, "w") as file:
        file.write(svg)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"roofline.py: {type(error).__name__}: {error}")
