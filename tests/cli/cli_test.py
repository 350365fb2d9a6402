# The command line as its users see it: exit codes, what goes to stdout and what to stderr, files, signals.
# Run by CTest with the program's path and the folder of parity fixtures; makes its own models with `synth`.
import array
import csv
import json
import math
import os
import pathlib
import pty
import re
import resource
import signal
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)
FIXTURES = pathlib.Path(sys.argv.pop(1))
FOLDER = tempfile.TemporaryDirectory()
TINY = os.path.join(FOLDER.name, "tiny.gguf")
TYPES = """F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 MXFP4 MXFP4_MOE IQ4_NL IQ4_XS Q2_K Q2_K_S Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M
           Q5_K_S Q5_K_M Q6_K Q3_K Q4_K Q5_K""".split()


def nibble(*arguments, stdin=b"", **options):
    words = [PROGRAM, *map(str, arguments)]
    return subprocess.run(words, input=stdin, capture_output=True, **options)


def path(name):
    return os.path.join(FOLDER.name, name)


def read_to_end(terminal):
    data = b""
    with open(terminal, "rb", buffering=0) as stream:
        while True:
            try:
                part = stream.read(1 << 16)
            except OSError:  # how Linux ends a terminal nobody writes to
                return data
            if not part:
                return data
            data += part


class CommandLine(unittest.TestCase):
    def ok(self, *arguments, stdin=b""):
        done = nibble(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def fails(self, code, *arguments, stdin=b"", says=""):
        done = nibble(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        self.assertEqual(done.stdout, b"")
        self.assertIn(says, done.stderr.decode())

    def logits(self, model, tokens, *options):
        out = path("logits.f32")
        self.ok("eval", "-m", model, "--tokens", " ".join(map(str, tokens)), "--logits", out, *options)
        return pathlib.Path(out).read_bytes()

    def formats(self, model):
        tensors = json.loads(self.ok("inspect", model, "--json"))["tensors"]
        return {tensor["name"]: tensor["format"] for tensor in tensors}


class Usage(CommandLine):
    def test_help_and_version_are_answers(self):
        self.assertRegex(self.ok("--version"), rb"^nibble \d+\.\d+\.\d+\n$")
        self.assertIn(b"generate", self.ok("--help"))
        for command in "generate chat eval tokenize template perplexity bench inspect plan quantize synth".split():
            self.assertIn(b"Usage: nibble " + command.encode(), self.ok(command, "--help"))

    def test_mistakes(self):
        self.fails(2)
        self.fails(2, "genrate", says="did you mean generate?")
        self.fails(2, "generate", "--tmep", "0", says="did you mean --temp?")
        self.fails(2, "generate", "-n", "-1")
        self.fails(2, "generate", "-m", TINY, "-p", "a", "--kv", "f64")
        self.fails(2, "generate", "-m", TINY, "-p", "a", "--backend", "abacus", says="reference")
        self.fails(2, "generate", "-m", TINY, "-p", "a", "--isa", "mmx", says="portable")
        self.fails(2, "generate", "-m", TINY, "-p", "a", "--temp", "nan")
        self.fails(2, "generate", "-m", TINY, "-p", "a", "--seed", "-1")
        self.fails(2, "eval", "-m", TINY, "--tokens", "1 x", "--logits", path("no.f32"), says="x")
        self.fails(2, "eval", "-m", TINY, "--tokens", "512", "--logits", path("no.f32"), says="512")
        self.fails(2, "quantize", TINY, path("no.gguf"), "--type", "Q9_9", says="Q4_K_M")
        self.fails(2, "synth", "llama-9", path("no.gguf"), "--type", "F32", says="llama-3.2-1b")
        self.assertFalse(os.path.exists(path("no.f32")) or os.path.exists(path("no.gguf")))

    def test_missing_input_text(self):
        self.fails(1, "generate", "-m", TINY, "-f", path("absent.txt"), says="absent.txt")
        self.fails(1, "generate", "-m", TINY, "-f", FOLDER.name, says=FOLDER.name)

    def test_stdout_that_takes_nothing(self):
        for words in (["--help"], ["generate", "-m", TINY, "-p", "a", "-n", "2"], ["inspect", TINY],
                      ["eval", "-m", TINY, "--tokens", "1 2 3", "--logits", "-"]):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([PROGRAM, *words], stdout=full, stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn(b"nibble: stdout", done.stderr, words)


class BadModels(CommandLine):
    def test_every_command_ends_with_3(self):
        whole = pathlib.Path(TINY).read_bytes()
        bad = {"cut.gguf": whole[: len(whole) // 2], "empty.gguf": b"", "other.gguf": b"MZ" + whole[2:]}
        for name, data in bad.items():
            pathlib.Path(path(name)).write_bytes(data)
        for name in [*bad, "absent.gguf"]:
            model = path(name)
            self.fails(3, "generate", "-m", model, "-p", "a", says=name)
            self.fails(3, "eval", "-m", model, "--tokens", "1", "--logits", path("no.f32"), says=name)
            self.fails(3, "tokenize", "-m", model, says=name)
            self.fails(3, "perplexity", "-m", model, stdin=b"text", says=name)
            self.fails(3, "bench", "-m", model, says=name)
            self.fails(3, "inspect", model, says=name)
            self.fails(3, "plan", model, says=name)
            self.fails(3, "quantize", model, path("no.gguf"), "--type", "Q8_0", says=name)

    def test_not_a_file(self):
        os.mkfifo(path("fifo.gguf"))
        self.fails(3, "generate", "-m", path("fifo.gguf"), "-p", "a")

    def test_weights_that_are_not_finite_are_refused_by_place(self):
        data = bytearray(pathlib.Path(TINY).read_bytes())
        data[-4:] = b"\x00\x00\xc0\x7f"
        pathlib.Path(path("nan.gguf")).write_bytes(data)
        self.fails(3, "quantize", path("nan.gguf"), path("no.gguf"), "--type", "Q8_0",
                   says=f"element {256 * 512 - 1}: blk.1.ffn_down.weight: found NaN")
        self.fails(3, "generate", "-m", path("nan.gguf"), "-p", "a", says="logits")
        self.fails(3, "perplexity", "-m", path("nan.gguf"), stdin=b"some text", says="logits")
        self.assertEqual([name for name in os.listdir(FOLDER.name) if name.startswith("no.")], [])

    def test_inspect_shows_what_cannot_run(self):
        other = pathlib.Path(TINY).read_bytes().replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0lemur", 1)
        pathlib.Path(path("lemur.gguf")).write_bytes(other)
        shown = json.loads(self.ok("inspect", path("lemur.gguf"), "--json"))
        self.assertEqual(len(shown["tensors"]), 20)
        self.assertIn("lemur", shown["refusal"])
        self.fails(3, "generate", "-m", path("lemur.gguf"), "-p", "a", says="lemur")


class Inspect(CommandLine):
    def test_a_folder_runs_as_its_gguf_does(self):
        for name in ("phi4-mini", "qwen3moe", "gpt-oss"):
            file, folder = (json.loads(self.ok("inspect", FIXTURES / name / model, "--json"))
                            for model in ("model.gguf", "hf"))
            packed = [sum(tensor.get("packed_bytes", 0) for tensor in shown["tensors"]) for shown in (file, folder)]
            self.assertEqual(packed[0], packed[1], name)
            self.assertGreater(packed[0], 0)
            self.assertNotIn("not used", self.ok("inspect", FIXTURES / name / "hf").decode(), name)
            self.assertEqual([t["format"] for t in folder["tensors"] if t["name"].endswith("_scales")],
                             ["U8"] * (4 if name == "gpt-oss" else 0))


class Limits(CommandLine):
    def test_context_overflow(self):
        self.fails(5, "generate", "-m", TINY, "-c", "64", "-p", "a" * 100)
        self.fails(5, "eval", "-m", TINY, "-c", "2", "--tokens", "1 2 3", "--logits", path("no.f32"))

    def test_out_of_memory(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

        if nibble("--version", preexec_fn=limit).returncode != 0:
            self.skipTest("a sanitizer needs more address space than the limit leaves")
        done = nibble("generate", "-m", TINY, "-p", "a", "-c", 1 << 23, preexec_fn=limit)
        self.assertEqual(done.returncode, 4, done.stderr.decode())


class Generate(CommandLine):
    def test_prompt_from_everywhere(self):
        text = "weights, said the cat"
        pathlib.Path(path("prompt.txt")).write_text(text)
        options = ["-m", TINY, "-n", "12", "--temp", "0"]
        made = self.ok("generate", *options, "-p", text)
        self.assertTrue(made)
        self.assertEqual(self.ok("generate", *options, "-f", path("prompt.txt")), made)
        self.assertEqual(self.ok("generate", *options, stdin=text.encode()), made)
        self.assertEqual(self.ok("generate", *options, "-f", "-", stdin=text.encode()), made)
        self.assertEqual(self.ok("generate", *options, "-p", text, "--echo"), text.encode() + made)
        self.assertEqual(self.ok("generate", *options, "-p", text, "-n", "0"), b"")

    def test_json_and_seeds(self):
        options = ["generate", "-m", TINY, "-n", "8", "-p", "x", "--json"]
        one, again, other = (json.loads(self.ok(*options, "--seed", seed)) for seed in (1, 1, 2))
        self.assertEqual(len(one["tokens"]), 8)
        self.assertEqual(len(one["logprobs"]), 8)
        self.assertEqual((one["reason"], one["seed"], one["prompt_tokens"]), ("max_tokens", 1, 2))
        self.assertEqual(one["tokens"], again["tokens"])
        self.assertNotEqual(one["tokens"], other["tokens"])

    def test_every_setting_gives_the_same_tokens(self):
        options = ["generate", "-m", TINY, "-n", "16", "-p", "some words here", "--temp", "0"]
        made = self.ok(*options)
        for extra in (["-t", "1"], ["-t", "3"], ["--batch", "1"], ["--batch", "5"], ["-c", "100"], ["--isa", "portable"],
                      ["--lookup", "0"], ["--lookup", "3"]):
            self.assertEqual(self.ok(*options, *extra), made, extra)

    def test_guesses_are_counted(self):
        options = ["generate", "-m", TINY, "-n", "60", "-p", "a a a a a a a a", "--temp", "0", "--json"]
        made, plain = (json.loads(self.ok(*options, "--lookup", n)) for n in (15, 0))
        self.assertEqual(made["tokens"], plain["tokens"])
        self.assertEqual((plain["drafted_tokens"], plain["accepted_tokens"]), (0, 0))
        self.assertGreater(made["accepted_tokens"], 0)
        self.assertGreaterEqual(made["drafted_tokens"], made["accepted_tokens"])

    def test_stop_text(self):
        options = ["generate", "-m", TINY, "-n", "12", "-p", "stop", "--temp", "0"]
        whole = self.ok(*options).decode()
        word = whole[len(whole) // 2 :][:3]
        self.assertEqual(self.ok(*options, "--stop", word).decode(), whole[: whole.index(word)])

    def test_statistics_and_colour_go_to_stderr(self):
        for environment, colour in (({}, True), ({"NO_COLOR": "1"}, False)):
            reader, writer = pty.openpty()
            variables = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
            done = subprocess.run([PROGRAM, "generate", "-m", TINY, "-n", "4", "-p", "x", "--temp", "0"],
                                  stdout=subprocess.PIPE, stderr=writer, env={**variables, **environment})
            os.close(writer)
            shown = read_to_end(reader)
            self.assertEqual(done.stdout, self.ok("generate", "-m", TINY, "-n", "4", "-p", "x", "--temp", "0"))
            self.assertIn(b"tokens/s", shown)
            self.assertEqual(b"\x1b[2m" in shown, colour)

    def test_interrupt_ends_the_generation(self):
        words = [PROGRAM, "generate", "-m", TINY, "-c", "200000", "-n", "199000", "-p", "x", "--temp", "0",
                 "--lookup", "0"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
            begun = process.stdout.read(1)
            process.send_signal(signal.SIGINT)
            rest, shown = process.communicate()
        self.assertEqual(process.returncode, 130, shown.decode())
        self.assertIn(b"tokens/s", shown)
        whole = self.ok("generate", "-m", TINY, "-n", "8", "-p", "x", "--temp", "0")
        self.assertEqual((begun + rest)[: len(whole)], whole[: len(begun + rest)])

    def test_second_interrupt_quits(self):
        os.mkfifo(path("prompt.fifo"))  # which nobody writes to
        for waiting in ([], ["-f", path("prompt.fifo")]):
            with subprocess.Popen([PROGRAM, "generate", "-m", TINY, *waiting], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                status = pathlib.Path(f"/proc/{process.pid}/status")
                blocked = re.compile(r"SigBlk:\s+[0-9a-f]*[2367abef]\n")  # bit 1 is SIGINT
                while not blocked.search(status.read_text()):
                    pass  # not yet ready for signals
                while process.poll() is None:
                    process.send_signal(signal.SIGINT)
                    try:
                        process.wait(0.1)
                    except subprocess.TimeoutExpired:
                        pass
            self.assertEqual(process.returncode, 130)

    def test_first_interrupt_at_the_prompt_quits(self):
        reader, writer = pty.openpty()
        with subprocess.Popen([PROGRAM, "generate", "-m", TINY], stdin=writer, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE) as process:
            self.assertIn(b"reading from the terminal", process.stderr.readline())
            process.send_signal(signal.SIGINT)
            process.wait()
        os.close(writer)
        os.close(reader)
        self.assertEqual(process.returncode, 130)

    def test_control_characters_are_shown_to_a_terminal_and_obeyed_by_none(self):
        exact = "\a\x1b[2J\r\x7f\tTür \u009b©\n"
        ids = " ".join(map(str, exact.encode())).encode()  # a token for each byte
        decode = ["tokenize", "-m", TINY, "--decode", "--no-bos"]
        self.assertEqual(self.ok(*decode, stdin=ids).decode(), exact)
        reader, writer = pty.openpty()
        done = subprocess.run([PROGRAM, *decode], input=ids, stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(read_to_end(reader).decode(), "␇␛[2J␍␡\tTür \ufffd©\r\n")  # the last \r is the terminal's


class Eval(CommandLine):
    def test_file_and_chunks(self):
        tokens = [(7 * i) % 512 for i in range(40)]
        whole = self.logits(TINY, tokens)
        self.assertEqual(len(whole), len(tokens) * 512 * 4)
        for options in (["--batch", "1"], ["--batch", "7", "-t", "3"], ["-t", "1"], ["-c", "64"]):
            self.assertEqual(self.logits(TINY, tokens, *options), whole, options)
        self.assertEqual(self.logits(TINY, tokens[:9]), whole[: 9 * 512 * 4])
        self.assertEqual(self.ok("eval", "-m", TINY, "--tokens", " ".join(map(str, tokens)), "--logits", "-"), whole)

    def test_logits_are_those_of_the_fixture(self):
        fixture = FIXTURES / "llama-tied"
        expected = json.loads((fixture / "expected.json").read_text())
        tokens = (expected["prompt_ids"] + expected["greedy_ids"])[: expected["logits_shape"][0]]
        reference = array.array("f", (fixture / "logits.f32").read_bytes())
        for model in ("model.gguf", "hf"):
            got = array.array("f", self.logits(fixture / model, tokens))
            self.assertEqual(len(got), len(reference))
            self.assertLessEqual(max(abs(a - b) for a, b in zip(got, reference)), 1e-4)

    def test_nothing_is_left_behind_on_failure(self):
        before = set(os.listdir(FOLDER.name))
        self.fails(1, "eval", "-m", TINY, "--tokens", "1", "--logits", path("absent/out.f32"))
        self.fails(1, "eval", "-m", TINY, "--tokens", "1", "--logits", FOLDER.name)
        self.assertEqual(set(os.listdir(FOLDER.name)), before)


class Tokenize(CommandLine):
    TEXTS = ["", " ", "Hello world", "  two  spaces\n\nlines\t", "naïve 東京 🙂", "<|end_of_text|> x"]

    def test_round_trip(self):
        for text in self.TEXTS:
            for options in ([], ["--no-bos"], ["--no-special"], ["--no-bos", "--no-special"]):
                ids = self.ok("tokenize", "-m", TINY, *options, stdin=text.encode())
                self.assertRegex(ids, rb"^(\d+( \d+)*)?\n$")
                self.assertEqual(self.ok("tokenize", "-m", TINY, "--decode", *options, stdin=ids).decode(), text)

    def test_bos_and_special(self):
        self.assertEqual(self.ok("tokenize", "-m", TINY, stdin=b"A<|end_of_text|>"), b"510 65 511\n")
        self.assertEqual(self.ok("tokenize", "-m", TINY, "--no-bos", stdin=b"A<|end_of_text|>"), b"65 511\n")
        self.assertNotIn(b"511", self.ok("tokenize", "-m", TINY, "--no-special", stdin=b"A<|end_of_text|>"))

    def test_file_and_json(self):
        pathlib.Path(path("text.txt")).write_bytes(b"AB\r\n")
        self.assertEqual(self.ok("tokenize", "-m", TINY, "-f", path("text.txt")), b"510 65 66 13 10\n")
        out = json.loads(self.ok("tokenize", "-m", TINY, "-f", path("text.txt"), "--json"))
        self.assertEqual(out, {"tokens": [510, 65, 66, 13, 10]})

    def test_vocabularies_without_a_model(self):
        for name in ("llama2", "llama3"):
            folder = FIXTURES / "tokenizers" / name
            for case in json.loads((folder / "tokens.json").read_text())["cases"][:12]:
                for model in ("tokenizer.json", "vocab.gguf", "."):
                    ids = self.ok("tokenize", "-m", folder / model, stdin=case["text"].encode())
                    self.assertEqual(list(map(int, ids.split())), case["ids_bos"], (name, model, case["text"]))

    def test_text_that_is_not_utf8(self):
        self.fails(2, "tokenize", "-m", TINY, stdin=b"ok \xff")


class Perplexity(CommandLine):
    def test_equals_the_logits(self):
        text = bytes(range(65, 91)) * 4
        got = json.loads(self.ok("perplexity", "-m", TINY, "-c", "41", "--json", stdin=text))
        total = count = 0
        for begin in range(0, len(text), 40):  # 40 bytes, each a token, behind BOS
            window = [510, *text[begin : begin + 40]]
            logits = array.array("f", self.logits(TINY, window))
            for i, token in enumerate(window[1:]):
                row = logits[i * 512 : (i + 1) * 512]
                top = max(row)
                total -= row[token] - top - math.log(sum(math.exp(x - top) for x in row))
                count += 1
        self.assertEqual((got["tokens"], got["windows"], got["context"]), (count, 3, 41))
        self.assertAlmostEqual(got["nll"], total / count, delta=1e-6)
        self.assertAlmostEqual(got["perplexity"], math.exp(total / count), delta=1e-3)
        self.fails(2, "perplexity", "-m", TINY, stdin=b"")


class Quantize(CommandLine):
    def test_every_type_generates(self):
        for kind in TYPES:
            self.ok("quantize", TINY, path("q.gguf"), "--type", kind)
            self.assertTrue(self.ok("generate", "-m", path("q.gguf"), "-p", "a", "-n", "4", "--temp", "0"), kind)
            self.ok("synth", "tiny", path("s.gguf"), "--type", kind)
            self.assertEqual(self.formats(path("q.gguf")), self.formats(path("s.gguf")), kind)

    def test_mixes(self):
        self.ok("synth", "tiny", path("m.gguf"), "--type", "q4_k_m")
        formats = self.formats(path("m.gguf"))
        self.assertEqual(formats["token_embd.weight"], "Q6_K")  # it is the output matrix too
        self.assertEqual(formats["output_norm.weight"], "F32")
        self.assertEqual(formats["blk.0.ffn_down.weight"], "Q4_K")
        self.assertEqual(formats["blk.1.ffn_down.weight"], "Q6_K")
        self.assertEqual(formats["blk.1.attn_q.weight"], "Q4_K")
        metadata = json.loads(self.ok("inspect", path("m.gguf"), "--json"))["metadata"]
        self.assertEqual((metadata["general.file_type"], metadata["general.quantization_version"]), (15, 2))

    def test_columns_that_no_block_divides(self):
        fixture = FIXTURES / "llama-tied/model.gguf"
        self.ok("quantize", fixture, path("q.gguf"), "--type", "Q4_K")
        self.assertTrue(set(self.formats(path("q.gguf")).values()) <= {"Q5_0", "F16", "F32"})

    def test_float_types_lose_nothing_and_threads_change_nothing(self):
        self.ok("quantize", TINY, path("f32.gguf"), "--type", "F32")
        self.assertEqual(pathlib.Path(path("f32.gguf")).read_bytes(), pathlib.Path(TINY).read_bytes())
        for threads in ("1", "3"):
            self.ok("quantize", TINY, path(threads), "--type", "Q4_K_M", "-t", threads)
            self.ok("synth", "tiny", path("s" + threads), "--type", "Q5_K_M", "-t", threads)
        for name in ("", "s"):
            one, three = (pathlib.Path(path(name + threads)).read_bytes() for threads in "13")
            self.assertEqual(one, three)


class Bench(CommandLine):
    # What programs outside rely on, and what goes with it.
    RELIED_ON = """test n_prompt n_gen n_depth n_batch_seqs n_threads avg_ts stddev_ts bytes_per_token gbps gmacs
                   roof_gbps roof_gmacs pct_of_roof""".split()
    FIELDS = """test n_prompt n_gen n_depth n_batch_seqs n_threads avg_ts stddev_ts median_ts bytes_per_token
                macs_per_token attend_macs_per_token gbps gmacs attend_gmacs roof_gbps roof_gmacs roof_attend_gmacs
                roof_instruction roof_ts pct_of_roof bound_by samples_ts version commit cpu backend tier kv batch model
                model_bytes memory_bytes limits""".split()
    SHORT = ["-p", "24,8", "-n", "3", "-d", "0,70", "-b", "1,2", "-t", "2", "-r", "2"]
    TESTS = [("pp24", 24, 0, 0, 1), ("pp8", 8, 0, 0, 1), ("tg3", 0, 3, 0, 1), ("tg3 b2", 0, 3, 0, 2),
             ("pp24 @ d70", 24, 0, 70, 1), ("pp8 @ d70", 8, 0, 70, 1), ("tg3 @ d70", 0, 3, 70, 1),
             ("tg3 b2 @ d70", 0, 3, 70, 2)]

    def test_json_of_the_demo_model(self):
        records = json.loads(self.ok("bench", *self.SHORT, "-o", "json"))
        shown = [tuple(record[key] for key in "test n_prompt n_gen n_depth n_batch_seqs".split()) for record in records]
        self.assertEqual(shown, self.TESTS)
        for record in records:
            self.assertEqual(list(record), self.FIELDS)
            self.assertTrue(set(self.RELIED_ON) <= set(record))
            self.assertEqual((record["n_threads"], len(record["samples_ts"])), (2, 2))
            self.assertAlmostEqual(record["avg_ts"], sum(record["samples_ts"]) / 2)
            self.assertAlmostEqual(record["gbps"], record["avg_ts"] * record["bytes_per_token"] / 1e9)
            self.assertAlmostEqual(record["gmacs"], record["avg_ts"] * record["macs_per_token"] / 1e9)
            self.assertAlmostEqual(record["pct_of_roof"], 100 * record["avg_ts"] / record["roof_ts"])
            self.assertEqual(record["roof_gbps"], record["limits"]["read_gbps"])
            self.assertGreater(record["roof_gbps"], 0)

    def test_work_is_what_the_shapes_say(self):
        tests = ["-p", "16", "-n", "2", "-d", "0,64", "-b", "1,2", "-t", "1", "-r", "1", "-o", "json"]
        records = {r["test"]: r for r in json.loads(self.ok("bench", "--synthetic", "tiny:F32", *tests))}
        layer = 256 * (256 + 2 * 128 + 256) + 3 * 256 * 512
        position = 2 * 2 * 2 * 64 * 4  # keys and values of two layers, two heads of 64 floats
        for depth, name in ((0, ""), (64, " @ d64")):
            one, two, prompt = (records[test + name] for test in ("tg2", "tg2 b2", "pp16"))
            weights = 2 * layer + 512 * 256
            self.assertEqual(one["macs_per_token"], weights)
            self.assertEqual(prompt["macs_per_token"], 2 * layer + 512 * 256 / 16)
            self.assertEqual(one["bytes_per_token"], 4 * weights + position * (depth + 1.5))
            self.assertEqual(two["bytes_per_token"], 4 * weights / 2 + position * (depth + 1.5))
            self.assertEqual(prompt["bytes_per_token"], (4 * weights + position * (depth + 16)) / 16)
            self.assertEqual(one["attend_macs_per_token"], 2 * 2 * 4 * 64 * (depth + 1.5))
            self.assertEqual(prompt["attend_macs_per_token"], 2 * 2 * 4 * 64 * (depth + 8.5))

    def test_table_and_csv(self):
        table = self.ok("bench", *self.SHORT).decode().splitlines()
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table if line.startswith("|")]
        self.assertEqual([row[4] for row in rows[2:]], [test[0] for test in self.TESTS])
        self.assertEqual({row[0] for row in rows[2:]}, {"demo.gguf"})
        lines = list(csv.DictReader(self.ok("bench", *self.SHORT, "-o", "csv").decode().splitlines()))
        self.assertEqual(list(lines[0]), [name for name in self.FIELDS if name not in ("samples_ts", "limits")])
        self.assertEqual([line["test"] for line in lines], [test[0] for test in self.TESTS])
        self.assertTrue(all(float(line["avg_ts"]) > 0 for line in lines))

    def test_synthetic_models_leave_no_file(self):
        folder = tempfile.mkdtemp(dir=FOLDER.name)
        done = nibble("bench", "--synthetic", "tiny:Q4_K_M", "-p", "4", "-n", "2", "-t", "1,2", "-r", "1", "-o", "json",
                      env={**os.environ, "TMPDIR": folder})
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        records = json.loads(done.stdout)
        self.assertEqual([(r["test"], r["n_threads"], r["stddev_ts"]) for r in records],
                         [(test, threads, 0) for threads in (1, 2) for test in ("pp4", "tg2")])
        self.assertEqual({r["model"] for r in records}, {"tiny:Q4_K_M"})
        self.assertEqual(os.listdir(folder), [])

    def test_windows_are_filled_again(self):
        tests = ["-p", "8", "-n", "130", "-d", "100", "-t", "1", "-r", "2", "-o", "json"]
        windowed = FIXTURES / "mistral-window/model.gguf"
        records = json.loads(self.ok("bench", "-m", windowed, *tests))
        self.assertEqual([r["test"] for r in records], ["pp8 @ d100", "tg130 @ d100"])

    def test_mistakes(self):
        for mistake in (["-p", "1,x"], ["-p", "-1"], ["-n", "two"], ["-d", "1;2"], ["-b", "0"], ["-t", "0"], ["-r", "0"],
                        ["-o", "xml"], ["-p", "0", "-n", "0"], ["--kv", "f64"], ["--isa", "mmx"],
                        ["--synthetic", "tiny"], ["--synthetic", "huge:Q4_0"], ["--synthetic", "tiny:Q9"],
                        ["-m", TINY, "--synthetic", "tiny:Q4_0"]):
            self.fails(2, "bench", *mistake)
        self.fails(5, "bench", "-m", TINY, "-c", "100", "-p", "101")


class Plan(CommandLine):
    def test_steps_and_memory(self):
        lines = self.ok("plan", TINY, "-c", "128").decode().splitlines()
        self.assertTrue(lines[0].startswith("0 embed"))
        shown = json.loads(self.ok("plan", TINY, "-c", "128", "--json"))
        self.assertEqual(lines[: len(shown["steps"])], [f"{i} {step}" for i, step in enumerate(shown["steps"])])
        self.assertEqual((len(shown["kv"]), shown["memory"]["context"]), (2, 128))
        memory, inspected = (json.loads(self.ok(command, TINY, "-c", "128", "--json"))["memory"]
                             for command in ("plan", "inspect"))
        for plan in (memory, inspected):  # what the program takes is measured, and not the same twice
            self.assertGreater(plan["program"], 1 << 20)
            plan["total"] -= plan.pop("program")
            self.assertEqual(plan["total"], sum(plan[part] for part in "weights mapped kv activations".split()))
        self.assertEqual(memory, inspected)


if __name__ == "__main__":
    subprocess.run([PROGRAM, "synth", "tiny", TINY, "--type", "F32"], check=True, capture_output=True)
    unittest.main(verbosity=2)
