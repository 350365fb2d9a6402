# roofline.py and compare.py on small results of either kind: verdicts, what is drawn, what is refused; mca.py's loops.
# Run by CTest with the folder of the scripts.
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

SCRIPTS = pathlib.Path(sys.argv.pop(1))
FOLDER = tempfile.TemporaryDirectory()


def write(name, data):
    path = pathlib.Path(FOLDER.name, name)
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def run(script, *arguments):
    return subprocess.run([sys.executable, SCRIPTS / script, *arguments], capture_output=True, text=True)


def record(test, samples, **other):
    """One of `nibble bench`."""
    limits = {"n_threads": 2, "read_gbps": 50.0,
              "peaks": [{"tier": "avx2", "type": "int8", "instruction": "vpdpbusd ymm", "gmacs": 500.0},
                        {"tier": "avx512", "type": "int8", "instruction": "vpdpbusd zmm", "gmacs": 1000.0}]}
    return {"test": test, "model": "m", "backend": "cpu/avx2", "tier": "avx2", "kv": "f16", "n_threads": 2, "cpu": "a CPU",
            "samples_ts": samples, "gmacs": 90.0, "attend_gmacs": 10.0, "gbps": 20.0, "limits": limits, **other}


def google(times):
    """What Google Benchmark writes: name -> CPU times."""
    context = {"host_name": "here", "limit GB/s": "40.0", "limit GMAC/s avx2 int8 vpdpbusd ymm": "250.0",
               "limit GMAC/s neon int8 sdot": "100.0"}
    runs = [{"name": name, "run_name": name, "run_type": "iteration", "cpu_time": time, "time_unit": "us",
             "GMAC/s": 1000 / time, "GB/s": 100 / time} for name, list_ in times.items() for time in list_]
    return {"context": context, "benchmarks": runs}


def around(middle, noise, n, seed):
    source = random.Random(seed)
    return [middle * (1 + source.uniform(-noise, noise)) for _ in range(n)]


class Compare(unittest.TestCase):
    def verdicts(self, old, new, code):
        done = run("compare.py", write("old.json", old), write("new.json", new))
        self.assertEqual(done.returncode, code, done.stderr)
        return [next(w for w in line.split() if w in ("faster", "slower", "same", "unclear"))
                for line in done.stdout.splitlines()[:-1] if " x " in line]

    def of_bench(self, old, new, code):
        return self.verdicts([record("tg64", old)], [record("tg64", new)], code)[0]

    def test_verdicts(self):
        quiet = around(100, 0.005, 7, 1)
        self.assertEqual(self.of_bench(quiet, around(110, 0.005, 7, 2), 0), "faster")
        self.assertEqual(self.of_bench(quiet, around(90, 0.005, 7, 2), 1), "slower")
        self.assertEqual(self.of_bench(quiet, around(100, 0.005, 7, 2), 0), "same")

    def test_noise_is_known(self):
        self.assertEqual(self.of_bench(around(100, 0.3, 7, 1), around(93, 0.3, 7, 2), 0), "unclear")
        self.assertEqual(self.of_bench([100, 100, 100], [90, 90, 90], 0), "unclear")  # 1 in 10 by chance
        self.assertEqual(self.of_bench([100], [100], 0), "unclear")

    def test_one_percent_is_not_worth_a_word(self):
        self.assertEqual(self.of_bench([100] * 7, [99] * 7, 0), "same")

    def test_false_alarms_are_rare(self):
        old, new = ([record(f"tg{i}", around(100, 0.05, 7, 1000 * seed + i)) for i in range(100)] for seed in (1, 2))
        done = run("compare.py", write("old.json", old), write("new.json", new))
        self.assertLessEqual(done.stdout.count(" faster ") + done.stdout.count(" slower "), 2)

    def test_google_benchmark(self):
        old = google({"a/avx2/x": around(100, 0.01, 7, 1), "b/avx2/x": around(100, 0.01, 7, 2), "gone": [1]})
        new = google({"a/avx2/x": around(50, 0.01, 7, 3), "b/avx2/x": around(200, 0.01, 7, 4), "came": [1]})
        self.assertEqual(self.verdicts(old, new, 1), ["faster", "slower"])
        shown = run("compare.py", write("old.json", old), write("new.json", new)).stdout
        self.assertIn("gone: only in the old file", shown)
        self.assertIn("came: only in the new file", shown)
        self.assertIn("1 faster, 1 slower, 0 same, 0 unclear", shown)

    def test_what_cannot_be_compared(self):
        one = write("one.json", [record("tg64", [1.0])])
        for other in ([record("pp512", [1.0])], google({"a/b/c": [1]}), {}, "not JSON"):
            self.assertEqual(run("compare.py", one, write("other.json", other)).returncode, 2)
        self.assertEqual(run("compare.py", one, "/absent.json").returncode, 2)
        self.assertNotEqual(run("compare.py", one).returncode, 0)


class Roofline(unittest.TestCase):
    def draw(self, data):
        out = pathlib.Path(FOLDER.name, "out.svg")
        done = run("roofline.py", write("results.json", data), out)
        self.assertEqual(done.returncode, 0, done.stderr)
        svg = xml.parse(out).getroot()
        kind = "{http://www.w3.org/2000/svg}"
        points = [(float(c.get("cx")), float(c.get("cy")), c[0].text) for c in svg.iter(kind + "circle") if len(c)]
        return points, [t.text for t in svg.iter(kind + "text")]

    def test_bench(self):
        points, texts = self.draw([record("tg64", [1.0]), record("pp512", [1.0], gmacs=390.0, gbps=1.0)])
        self.assertEqual([tip for _, _, tip in points], ["cpu/avx2 tg64: 100.0 GMAC/s, 40 % of the roof",
                                                         "cpu/avx2 pp512: 400.0 GMAC/s, 80 % of the roof"])
        (x0, y0, _), (x1, y1, _) = points
        self.assertTrue(x1 > x0 and y1 < y0)
        self.assertIn("500 int8 vpdpbusd ymm", texts)
        self.assertNotIn("1000 int8 vpdpbusd zmm", texts)  # of a tier that did not run
        self.assertIn("50.0 GB/s read", texts)
        self.assertTrue({"tg64", "pp512", "m on a CPU, 2 threads"} <= set(texts))

    def test_google_benchmark(self):
        points, texts = self.draw(google({"matmul/avx2/Q4_0/1": [10.0], "matmul/avx2+x/<&>/8": [5.0]}))
        self.assertEqual([tip for _, _, tip in points], ["matmul/avx2 Q4_0/1: 100.0 GMAC/s, 40 % of the roof",
                                                         "matmul/avx2+x <&>/8: 200.0 GMAC/s, 80 % of the roof"])
        self.assertIn("250 int8 vpdpbusd ymm", texts)
        self.assertNotIn("100 int8 sdot", texts)

    def test_medians_stand_for_repetitions(self):
        data = google({"matmul/avx2/Q4_0/1": [10.0, 11.0, 12.0]})
        data["benchmarks"].append({**data["benchmarks"][1], "run_type": "aggregate", "aggregate_name": "median"})
        self.assertEqual(len(self.draw(data)[0]), 1)

    def test_what_cannot_be_drawn(self):
        for data in ([], {}, google({}), "not JSON"):
            done = run("roofline.py", write("results.json", data), pathlib.Path(FOLDER.name, "none.svg"))
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("roofline.py:", done.stderr)
            self.assertFalse(pathlib.Path(FOLDER.name, "none.svg").exists())


class Mca(unittest.TestCase):
    ASSEMBLY = """
    .type    _Z3dotv, %function
_Z3dotv:
.L1:
    sdot    v2.4s, v0.16b, v1.4b[0]
    b.ne    .L1
.L2:
.L3:
    sdot    v2.4s, v0.16b, v1.4b[0]
    smmla    v2.4s, v0.16b, v1.16b
    cbnz    x0, .L3
    sdot    v2.4s, v0.16b, v1.4b[0]
    b.ne    .L2
    .size    _Z3dotv, .-_Z3dotv
"""

    def estimate(self, function):
        tool = write("tool", "#!/bin/sh\necho Total Cycles: 6000\n")
        tool.chmod(0o700)
        return run("mca.py", "--tool", tool, "--cpu", "a-cpu", write("dot.s", self.ASSEMBLY), function)

    def test_the_innermost_loop_with_the_most_dot_products(self):
        self.assertEqual(self.estimate("dot()").stdout, "a-cpu: 48 in 6.0 cycles, 8.0 a cycle\n")

    def test_no_such_function(self):
        self.assertNotEqual(self.estimate("other").returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
