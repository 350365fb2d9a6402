# `nibble quantize` on whole models: folders, mixes over many layers, importance; `nibble synth` and its presets.
# Run by CTest with the program's path and the folder of parity fixtures, as cli_test.py, whose tools it uses.
import json
import pathlib
import re
import shutil
import struct
import subprocess
import unittest

from cli_test import FIXTURES, PROGRAM, TINY, CommandLine, nibble, path

PROMPT = [510, 65, 66, 67, 68]
# What GGUF has no key for, by the parity model that has it.
UNTOLD = {"llama-dynamic": "scaling of rotary positions", "qwen2-window": "sliding window",
          "qwen3moe-unnormed": "add up to 1"}


def gguf(name, n_layers, cols, experts=0):
    """A file of zeros of an architecture that nobody runs: names, shapes and keys are what mixes look at."""
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    keys = {"block_count": n_layers, "attention.head_count": 8, "attention.head_count_kv": 2}
    keys |= {"expert_count": experts} if experts else {}
    head = [text("general.architecture") + struct.pack("<I", 8) + text("any")]
    head += [text("any." + key) + struct.pack("<II", 4, value) for key, value in keys.items()]
    shapes = {"token_embd": (cols, 32), "output": (cols, 32), "output_norm": (cols,)}
    for i in range(n_layers):
        blk = f"blk.{i}."
        shapes |= {blk + part: (cols, 8) for part in ("attn_q", "attn_k", "attn_v", "attn_output")}
        stack = (experts,) if experts else ()
        shapes |= {blk + part + ("_exps" if experts else ""): (cols, 8, *stack) for part in ("ffn_up", "ffn_down")}
        shapes |= {blk + "ffn_gate_inp": (cols, experts)} if experts else {}
    tensors, offset = b"", 0
    for tensor, shape in shapes.items():
        tensors += text(tensor + ".weight") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)
        size = 4
        for extent in shape:
            size *= extent
        offset += -(-size // 32) * 32
    data = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(head)) + b"".join(head) + tensors
    pathlib.Path(path(name)).write_bytes(data + bytes(-len(data) % 32 + offset))
    return path(name)


class Mixes(CommandLine):
    def quantised(self, model, kind, *options):
        self.ok("quantize", model, path("mix.gguf"), "--type", kind, *options)
        return self.formats(path("mix.gguf"))

    def by_layer(self, formats, part, n_layers=16):
        return [formats[f"blk.{i}.{part}.weight"] for i in range(n_layers)]

    def test_layers_that_get_more(self):
        model = gguf("layers.gguf", 16, 256)
        more = ["Q6_K" if i < 2 or i >= 14 or (i - 2) % 3 == 2 else "Q4_K" for i in range(16)]
        formats = self.quantised(model, "Q4_K_M")
        self.assertEqual(self.by_layer(formats, "attn_v"), more)
        self.assertEqual(self.by_layer(formats, "ffn_down"), more)
        self.assertEqual(set(self.by_layer(formats, "attn_q")), {"Q4_K"})
        self.assertEqual((formats["output.weight"], formats["token_embd.weight"]), ("Q6_K", "Q4_K"))
        formats = self.quantised(model, "Q4_K_S")
        self.assertEqual(self.by_layer(formats, "attn_v"), ["Q5_K"] * 4 + ["Q4_K"] * 12)
        self.assertEqual(self.by_layer(formats, "ffn_down"), ["Q5_K"] * 2 + ["Q4_K"] * 14)
        formats = self.quantised(model, "Q3_K_M")
        self.assertEqual(self.by_layer(formats, "attn_v"), ["Q5_K"] * 2 + ["Q4_K"] * 14)
        self.assertEqual(self.by_layer(formats, "ffn_down"), ["Q5_K"] + ["Q4_K"] * 15)
        formats = self.quantised(model, "IQ4_XS")
        self.assertEqual(set(self.by_layer(formats, "attn_v")), {"Q5_K"})  # 8 heads on 2
        self.assertEqual(self.by_layer(formats, "ffn_down"), ["Q5_K"] * 2 + ["IQ4_XS"] * 14)

    def test_experts(self):
        model = gguf("experts.gguf", 16, 256, experts=8)
        formats = self.quantised(model, "Q4_K_M")
        self.assertEqual(set(self.by_layer(formats, "attn_v")), {"Q8_0"})
        self.assertEqual(set(self.by_layer(formats, "attn_output")), {"Q5_K"})
        self.assertEqual(formats["blk.0.ffn_down_exps.weight"], "Q6_K")
        self.assertEqual(formats["blk.0.ffn_gate_inp.weight"], "F32")
        formats = self.quantised(model, "MXFP4_MOE")
        self.assertEqual(set(self.by_layer(formats, "ffn_up_exps")), {"MXFP4"})
        self.assertEqual(set(self.by_layer(formats, "attn_q")), {"Q8_0"})

    def test_rows_that_no_block_divides(self):
        formats = self.quantised(gguf("odd.gguf", 16, 288), "Q4_K_M")
        self.assertEqual(set(self.by_layer(formats, "attn_v")), {"Q8_0", "Q5_0"})
        self.assertEqual(formats["output.weight"], "Q8_0")


class Importance(CommandLine):
    def write(self, name, weights):
        data = struct.pack("<I", len(weights))
        for tensor, values in weights.items():
            data += struct.pack("<I", len(tensor)) + tensor.encode()
            data += struct.pack(f"<II{len(values)}f", 1, len(values), *values)
        pathlib.Path(path(name)).write_bytes(data)
        return path(name)

    def test_it_changes_what_it_names(self):
        weights = {"blk.0.attn_q.weight": [1.0 + i % 9 for i in range(256)]}
        self.ok("quantize", TINY, path("plain.gguf"), "--type", "Q4_K")
        self.ok("quantize", TINY, path("weighed.gguf"), "--type", "Q4_K", "--imatrix", self.write("imatrix", weights))
        plain, weighed = (pathlib.Path(path(name)).read_bytes() for name in ("plain.gguf", "weighed.gguf"))
        self.assertEqual(len(plain), len(weighed))
        changed = [i for i in range(len(plain)) if plain[i] != weighed[i]]
        self.assertTrue(changed)
        self.assertLess(changed[-1] - changed[0], 256 * 144)  # within that tensor

    def test_mixes_count_on_it(self):
        model = gguf("important.gguf", 16, 256)
        weights = self.write("imatrix", {"blk.0.attn_q.weight": [1.0] * 256})
        self.ok("quantize", model, path("i.gguf"), "--type", "Q4_0", "--imatrix", weights)
        formats = self.formats(path("i.gguf"))
        self.assertEqual([formats[f"blk.{i}.ffn_down.weight"] for i in range(3)], ["Q4_1", "Q4_1", "Q4_0"])

    def test_mistakes(self):
        short = self.write("short", {"blk.0.attn_q.weight": [1.0] * 255})
        self.fails(1, "quantize", TINY, path("no.gguf"), "--type", "Q4_K", "--imatrix", short, says="256 inputs")
        self.fails(3, "quantize", TINY, path("no.gguf"), "--type", "Q4_K", "--imatrix", path("absent"))
        pathlib.Path(path("cut")).write_bytes(pathlib.Path(short).read_bytes()[:-1])
        self.fails(3, "quantize", TINY, path("no.gguf"), "--type", "Q4_K", "--imatrix", path("cut"), says="truncated")


class Folders(CommandLine):
    def test_folders_become_files_that_compute_the_same(self):
        models = [folder for folder in sorted(FIXTURES.iterdir()) if (folder / "hf").is_dir()]
        self.assertGreater(len(models), 9)
        for folder in models:
            if folder.name in UNTOLD:
                self.fails(3, "quantize", folder / "hf", path("no.gguf"), "--type", "F32", says=UNTOLD[folder.name])
                continue
            tokens = json.loads((folder / "expected.json").read_text())["prompt_ids"]
            self.ok("quantize", folder / "hf", path("f.gguf"), "--type", "F32")
            of_file = self.logits(path("f.gguf"), tokens, "--kv", "f32", "--backend", "reference")
            of_folder = self.logits(folder / "hf", tokens, "--kv", "f32", "--backend", "reference")
            self.assertEqual(of_file, of_folder, folder.name)
            text = "Grüße, it's 128 foxes\n\n".encode()
            self.assertEqual(self.ok("tokenize", "-m", path("f.gguf"), stdin=text),
                             self.ok("tokenize", "-m", folder / "hf", stdin=text), folder.name)

    def test_quantised_on_the_way(self):
        folder = FIXTURES / "llama-f16"
        self.ok("quantize", folder / "hf", path("a.gguf"), "--type", "Q8_0")
        self.ok("quantize", folder / "hf", path("f.gguf"), "--type", "F16")
        self.ok("quantize", path("f.gguf"), path("b.gguf"), "--type", "Q8_0")
        a, b = (pathlib.Path(path(name)).read_bytes() for name in ("a.gguf", "b.gguf"))
        self.assertEqual(a, b)

    def test_four_bit_folders(self):
        folders = sorted((FIXTURES.parent / "four_bit").iterdir())
        self.assertEqual(len(folders), 5)
        for folder in folders:
            self.ok("quantize", folder, path("f.gguf"), "--type", "F32")
            options = ["--kv", "f32", "--backend", "reference"]
            of_file, of_folder = (memoryview(self.logits(model, PROMPT[1:], *options)).cast("f")
                                  for model in (path("f.gguf"), folder))
            self.assertLess(max(abs(x - y) for x, y in zip(of_file, of_folder)), 1e-4, folder.name)


    def test_named_templates_go_along(self):
        folder = pathlib.Path(path("templates"))
        shutil.copytree(FIXTURES / "qwen2" / "hf", folder)
        (folder / "additional_chat_templates").mkdir()
        (folder / "chat_template.jinja").write_text("talk")
        (folder / "additional_chat_templates" / "tool_use.jinja").write_text("{{ tools | length }} tools")
        (folder / "additional_chat_templates" / "rag.jinja").write_text("look up")
        self.ok("quantize", folder, path("templates.gguf"), "--type", "F32")
        for model in (folder, path("templates.gguf")):
            template = ["template", "-m", model]
            self.assertEqual(self.ok(*template, stdin=b"{}"), b"talk")
            self.assertEqual(self.ok(*template, stdin=b'{"tools": [1, 2]}'), b"2 tools")
            self.assertEqual(self.ok(*template, "--template-name", "rag", stdin=b'{"tools": []}'), b"look up")
            self.fails(3, *template, "--template-name", "rug", stdin=b"{}", says="default, rag, tool_use")
        self.fails(2, "template", "-m", folder / "chat_template.jinja", "--template-name", "rag", stdin=b"{}")
        self.fails(2, "chat", "--template", folder / "chat_template.jinja", "--template-name", "rag")


    def test_white_space_that_gguf_cannot_tell(self):
        folder = pathlib.Path(path("strips"))
        shutil.copytree(FIXTURES / "qwen2" / "hf", folder)
        for strips in (False, True):
            tokenizer = json.loads((folder / "tokenizer.json").read_text())
            tokenizer["added_tokens"][0]["rstrip"] = strips
            (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
            done = nibble("quantize", folder, path("strips.gguf"), "--type", "F32")
            self.assertEqual(done.returncode, 0)
            self.assertEqual("white space" in done.stderr.decode(), strips)


class Presets(CommandLine):
    def names(self):
        text = nibble("synth", "--help").stdout.decode()
        return re.findall(r"[a-z0-9][a-z0-9.-]*", text[text.index("One of") : text.index("OUT", text.index("One of"))])

    def test_sizes_that_models_are_known_by(self):
        names = self.names()
        for name in """llama-3.2-1b llama-3.1-8b mistral-7b mixtral-8x7b phi-4 phi-4-mini gemma-2-9b gemma-3-4b
                       qwen2.5-0.5b qwen3-8b tinyllama-1.1b smollm2-135m smollm3-3b r1-distill-qwen-7b""".split():
            self.assertIn(name, names)

    def test_no_models_on_stdout(self):
        self.fails(2, "synth", "smollm2-135m", "-", "--type", "Q8_0", says="not to stdout")
        self.fails(2, "quantize", TINY, "-", "--type", "Q8_0", says="not to stdout")

    def test_layers_are_cut(self):
        self.ok("synth", "smollm2-135m", path("cut.gguf"), "--type", "Q4_K_M", "--layers", "1")
        metadata = json.loads(self.ok("inspect", path("cut.gguf"), "--json"))["metadata"]
        self.assertEqual(metadata["llama.block_count"], 1)
        self.assertTrue(self.ok("generate", "-m", path("cut.gguf"), "-p", "a", "-n", "2", "--temp", "0"))


if __name__ == "__main__":
    subprocess.run([PROGRAM, "synth", "tiny", TINY, "--type", "F32"], check=True, capture_output=True)
    unittest.main(verbosity=2)
