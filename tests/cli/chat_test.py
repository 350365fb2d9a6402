# `nibble template` and `nibble chat` as their users see them; the chat in a terminal too.
# Run by CTest with the program's path; talks to the demo model.
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)
DEMO = sys.argv.pop(1)
FOLDER = tempfile.TemporaryDirectory()
PATIENCE = 120  # seconds without a word from a program
TURNS = ["Tell me a story about a fox.", "Ticket: My invoice is wrong.\nQueue:", "Tell me another story."]


def nibble(*arguments, stdin=""):
    return subprocess.run([PROGRAM, *map(str, arguments)], input=stdin.encode(), capture_output=True)


def path(name, content=None):
    made = os.path.join(FOLDER.name, name)
    if content is not None:
        pathlib.Path(made).write_text(content)
    return made


class CommandLine(unittest.TestCase):
    def ok(self, *arguments, stdin=""):
        done = nibble(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def fails(self, code, *arguments, stdin="", says=""):
        done = nibble(*arguments, stdin=stdin)
        self.assertEqual((done.returncode, done.stdout), (code, b""), done.stderr.decode())
        self.assertIn(says, done.stderr.decode())


class Template(CommandLine):
    def test_a_models_own_and_a_file(self):
        variables = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": True})
        expected = "<|user|>\nHi<|end|>\n<|assistant|>\n"
        self.assertEqual(self.ok("template", "-m", DEMO, stdin=variables), expected)
        shown = json.loads(self.ok("template", "-m", DEMO, "--json", "--input", path("v.json", variables)))
        self.assertEqual(shown, {"text": expected, "from_input": [[9, 11]]})
        source = path("t.jinja", "{{ messages[0].content }}{{ strftime_now('%d %b %Y') if strftime_now else '' }}")
        self.assertEqual(self.ok("template", "-m", source, stdin=variables), "Hi")
        self.assertEqual(self.ok("template", "-m", source, "--date", "2024-07-26", stdin=variables), "Hi26 Jul 2024")

    def test_what_fails(self):
        raising = path("raise.jinja", "\n{{ raise_exception('not like this') }}")
        self.fails(1, "template", "-m", raising, stdin="{}", says="line 2, column 19: found not like this")
        self.fails(1, "template", "-m", raising, stdin="[]", says="an object")
        self.fails(1, "template", "-m", raising, stdin="{", says="variables")
        self.fails(3, "template", "-m", path("bad.jinja", "{% if %}"), stdin="{}", says="bad.jinja: malformed at line 1")
        self.fails(3, "template", "-m", path("absent.gguf"), stdin="{}", says="absent.gguf")
        self.fails(1, "template", "-m", path("absent.jinja"), stdin="{}", says="absent.jinja")
        self.fails(2, "template", "-m", raising, "--date", "26.7.2024", stdin="{}", says="26.7.2024")


class Chat(CommandLine):
    options = ["--temp", "0", "-n", "40", "-t", "2"]

    def answer(self, messages):
        """The answer to `messages`, from a fresh context."""
        variables = json.dumps({"messages": messages, "add_generation_prompt": True})
        prompt = path("prompt.txt", self.ok("template", "-m", DEMO, stdin=variables))
        return self.ok("generate", "-m", DEMO, "-f", prompt, "--special", *self.options)

    def conversation(self, turns):
        messages = []
        for turn in turns:
            messages.append({"role": "user", "content": turn})
            messages.append({"role": "assistant", "content": self.answer(messages)})
        return messages

    def shown(self, messages):
        """What stdout shows of a conversation."""
        answers = [message["content"] for message in messages if message["role"] == "assistant"]
        return "".join(answer if answer.endswith("\n") else answer + "\n" for answer in answers)

    def test_turns_save_load_and_clear(self):
        messages = self.conversation(TURNS)
        lines = [turn.replace("\n", "\\\n") for turn in TURNS]
        saved = path("saved.json")
        script = "\n".join([lines[0], lines[1], f"/save {saved}", lines[2], f"/load {saved}", lines[2], "/clear", lines[0]])
        out = self.ok("chat", "-m", DEMO, *self.options, stdin=script)
        self.assertEqual(out, self.shown(messages) + self.shown(messages[4:]) + self.shown(messages[:2]))
        self.assertEqual(json.loads(pathlib.Path(saved).read_text()), {"messages": messages[:4]})
        self.assertEqual(self.ok("chat", "-m", DEMO, *self.options, stdin=f"/load {saved}\n{lines[2]}"),
                         self.shown(messages[4:]))

    def test_a_system_message_that_the_template_refuses_joins_the_first(self):
        expected = self.answer([{"role": "user", "content": "Be brief.\n\nHello"}])
        self.assertEqual(self.ok("chat", "-m", DEMO, "--system", "Be brief.", *self.options, stdin="Hello").strip("\n"),
                         expected.strip("\n"))

    def test_variables_reach_the_template(self):
        asking = path("asking.jinja", "{{ messages[0].content if not loud else raise_exception('too loud') }}")
        chat = ["chat", "-m", DEMO, "--template", asking, *self.options, "--variables"]
        self.assertTrue(self.ok(*chat, '{"loud": false}', stdin="Hi"))
        self.assertIn("too loud", nibble(*chat, '{"loud": true}', stdin="Hi").stderr.decode())
        self.fails(2, *chat, "[1]", stdin="Hi", says="a JSON object")

    def test_what_goes_wrong_keeps_the_chat(self):
        done = nibble("chat", "-m", DEMO, "-c", "64", *self.options, stdin="a b c " * 99 + f"\n/load {path('absent')}\n/load {FOLDER.name}\n/x\nHi")
        self.assertEqual(done.returncode, 0)
        for words in ("context_overflow", "/clear makes room", "absent: cannot be read",
                      f"{FOLDER.name}: cannot be read", "/save FILE"):
            self.assertIn(words, done.stderr.decode())
        self.assertTrue(done.stdout)
        self.fails(3, "chat", "-m", DEMO, "--template", path("bad.jinja", "{% if %}"), says="bad.jinja")

    def test_an_empty_template_is_none_of_the_models(self):
        out = self.ok("chat", "-m", DEMO, "--template", path("empty.jinja", ""), *self.options, stdin="Hi")
        self.assertEqual(out.strip("\n"), self.ok("generate", "-m", DEMO, "-p", "", *self.options).strip("\n"))


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, *words):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(words[0], list(words), {**os.environ, "TERM": "dumb", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"})
        self.seen = ""

    def send(self, text):
        os.write(self.terminal, text.encode())

    def read(self):
        """What the program wrote; nothing once it has closed its terminal."""
        if not select.select([self.terminal], [], [], PATIENCE)[0]:
            raise AssertionError(f"nothing in {PATIENCE} s behind {self.seen!r}")
        try:
            return os.read(self.terminal, 1 << 16).decode(errors="replace")
        except OSError:  # how Linux ends a terminal nobody writes to
            return ""

    def until(self, pattern):
        """What came up to and with the pattern; what follows is kept."""
        while not (found := re.search(pattern, self.seen)):
            more = self.read()
            if not more:
                raise AssertionError(f"no {pattern} in {self.seen!r}")
            self.seen += more
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before

    def end(self):
        """The exit code of a program that is ending."""
        while more := self.read():
            self.seen += more
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self):
        if self.pid != 0:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.terminal)


class ChatInATerminal(CommandLine):
    def start(self, *options):
        terminal = Terminal(PROGRAM, "chat", "--temp", "0", "-t", "2", *options)
        self.addCleanup(terminal.close)
        terminal.until("> ")
        return terminal

    def test_three_turns(self):
        saved = path("turns.json")
        terminal = self.start("-n", "30", "-m", DEMO)
        for line, answer in [(TURNS[0], r"tokens/s, ended by"), (TURNS[2], "tokens/s, ended by"),
                             (f"/save {saved}", "4 messages are in"), ("/clear", "> "),
                             (f"/load {saved}", "4 messages from"), ("Tell me more.", "tokens/s, ended by")]:
            terminal.send(line + "\n")
            terminal.until(answer)
        terminal.until("> ")
        terminal.send("\x04")
        self.assertEqual(terminal.end(), 0)
        self.assertEqual([m["role"] for m in json.loads(pathlib.Path(saved).read_text())["messages"]],
                         ["user", "assistant"] * 2)

    def test_what_is_typed_ahead_is_read(self):
        terminal = self.start("-n", "30", "-m", DEMO)
        terminal.send(TURNS[0] + "\n")
        terminal.until(r"fox\.\r\n")
        terminal.send(TURNS[2] + "\n\x04")
        terminal.until("tokens/s, ended by")
        terminal.until("tokens/s, ended by")
        self.assertEqual(terminal.end(), 0)

    def test_interrupt_forgets_what_has_been_typed(self):
        saved = path("typed.json")
        terminal = self.start("-n", "30", "-m", DEMO)
        terminal.send("not this")
        terminal.send("\x03")
        terminal.until("Ctrl-C again quits")
        terminal.send("Grüße\n")
        terminal.until("tokens/s, ended by")
        terminal.send(f"/save {saved}\n\x04")
        terminal.until("2 messages are in")
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(json.loads(pathlib.Path(saved).read_text())["messages"][0]["content"], "Grüße")

    def test_interrupt_stops_an_answer_and_keeps_the_chat(self):
        endless = path("endless.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}")
        saved = path("stopped.json")
        model = path("tiny.gguf")  # of random weights: it never comes to an end
        self.ok("synth", "tiny", model, "--type", "F32")
        terminal = self.start("-m", model, "--template", endless, "-c", "200000", "--lookup", "0")
        terminal.send("Once upon a time\n")
        terminal.until("time\r\n")
        terminal.until(r"\S")
        terminal.send("\x03")
        terminal.until("ended by (cancelled|callback)")
        terminal.until("> ")
        terminal.send(f"/save {saved}\n")
        terminal.until("2 messages are in")
        terminal.until("> ")
        terminal.send("\x03")
        terminal.until("Ctrl-C again quits")
        terminal.send("\x03")
        self.assertEqual(terminal.end(), 130)
        self.assertTrue(json.loads(pathlib.Path(saved).read_text())["messages"][1]["content"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
