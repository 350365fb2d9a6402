"""What the library's release objects must not contain: ways to end or print into the host program, mutable
globals, sockets; and in a CPU tier's objects, functions that baseline code could be linked against.

Usage: objects.py ARCHIVE TIER_FOLDER BUILD_FOLDER | objects.py --self-test COMPILER
TIER_FOLDER is kernels/cpu in the source tree, BUILD_FOLDER the same in the build tree.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

FORBIDDEN = {
    "ends the program": "abort exit _exit _Exit quick_exit raise kill __assert_fail __assert_perror_fail",
    "prints": "printf vprintf fprintf vfprintf puts fputs putchar putc fputc perror stdout stderr syslog dprintf "
              "__printf_chk __vprintf_chk __fprintf_chk __vfprintf_chk "
              "_ZSt4cout _ZSt4cerr _ZSt4clog _ZSt3cin _ZNSt8ios_base4InitC1Ev",
    "reads the environment": "getenv secure_getenv setenv putenv environ setlocale",
    "changes the process": "signal sigaction sigprocmask atexit on_exit at_quick_exit fork system popen "
                           "_ZSt15set_new_handlerPFvvE _ZSt13set_terminatePFvvE",
    "initialises or destroys a global at run time": "__cxa_guard_acquire __cxa_atexit __cxa_thread_atexit",
    "talks to a network": "socket connect bind listen accept accept4 send sendto sendmsg recv recvfrom recvmsg "
                          "getaddrinfo gethostbyname inet_pton",
}
REASON = {symbol: reason for reason, symbols in FORBIDDEN.items() for symbol in symbols.split()}

# Writable only while the loader relocates, or the compiler's own.
CONSTANT_SECTIONS = re.compile(r"\.data\.rel\.ro|\.data\.rel\.local\.DW\.ref\.|\.eh_frame")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def symbols(file):
    """(object, symbol, nm's letter) of an object or of every member of an archive."""
    for line in output("nm", "-A", "-P", file).splitlines():
        place, symbol, kind = re.match(r"(.*): (\S+) (\S)", line).groups()
        member = re.search(r"\[(.*)\]", place)
        yield member[1] if member else pathlib.Path(place).name, symbol, kind


def library_problems(archive):
    for member, symbol, kind in symbols(archive):
        if kind in "Uw" and symbol in REASON:
            yield f"{member}: {symbol} {REASON[symbol]}"
    member = pathlib.Path(archive).name
    section = re.compile(r"\s*\[ *\d+\] (\S+)\s+\S+\s+[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) [0-9a-f]+\s+(\w*W\w*) ")
    for line in output("readelf", "--sections", "--wide", archive).splitlines():
        if line.startswith("File: "):
            member = line[line.rindex("(") + 1 : -1] if "(" in line else line[6:]
        match = section.match(line)
        if match and int(match[2], 16) and not CONSTANT_SECTIONS.match(match[1]):
            yield f"{member}: {int(match[2], 16)} bytes of writable global data in {match[1]}"


def tier_problems(tier, file):
    for name, symbol, kind in symbols(file):
        if kind in "Wu":
            yield f"{tier}/{name}: weak function {symbol}: baseline code could end up calling it"
        if kind in "TDRBC" and not symbol.startswith(f"_ZN6nibble2v03cpu{len(tier)}{tier}"):
            yield f"{tier}/{name}: {symbol} is exported from outside nibble::cpu::{tier}"


def check(archive, tier_folder, build_folder):
    problems = list(library_problems(archive))
    n_objects = 0
    for source in sorted(pathlib.Path(tier_folder).glob("*/*.cpp")):
        tier = source.parent.name
        for built in pathlib.Path(build_folder).glob(f"CMakeFiles/*.dir/{tier}/{source.name}.o"):
            n_objects += 1
            problems += tier_problems(tier, built)
    print(f"{archive} and {n_objects} objects of CPU tiers: {len(problems)} problems")
    return problems if n_objects else [*problems, f"no tier's objects found in {build_folder}"]


# (source, part of the one problem it must raise; none: must pass)
PLANTED_IN_LIBRARY = [
    ("#include <cstdlib>\nvoid f() { std::abort(); }", "abort"),
    ("#include <cstdlib>\nvoid f() { std::exit(1); }", "exit"),
    ("#include <cstdlib>\nconst char* f() { return std::getenv(\"HOME\"); }", "getenv"),
    ("#include <cstdio>\nvoid f(int x) { std::printf(\"%d\", x); }", "printf"),
    ("#include <cstdio>\nstd::FILE* f() { return stderr; }", "stderr"),
    ("#include <csignal>\nvoid f() { std::signal(SIGINT, SIG_DFL); }", "signal"),
    ("#include <sys/socket.h>\nint f() { return socket(AF_INET, SOCK_STREAM, 0); }", "socket"),
    ("#undef NDEBUG\n#include <cassert>\nvoid f(int x) { assert(x); }", "__assert_fail"),
    ("int counter = 1;", ".data"),
    ("static int counter;\nint f() { return ++counter; }", ".bss"),
    ("thread_local int counter;\nint f() { return ++counter; }", ".tbss"),
    ("extern int g();\nint f() { static const int x = g(); return x; }", "__cxa_guard_acquire"),
    ("extern const int table[3];\nconst int table[3] = {1, 2, 3};", None),
    ("struct A { virtual ~A(); virtual int f(); };\nA::~A() {}\nint A::f() { return 1; }", None),
    ("extern int x;\nextern const int* const p;\nconst int* const p = &x;", None),
]
PLANTED_IN_TIER = [
    ("template <class T> [[gnu::noinline]] T twice(T x) { return 2 * x; }\n"
     "namespace nibble::inline v0::cpu::toy { int f(int x) { return twice(x); } }", "weak function"),
    ("int helper(int x) { return x; }", "exported from outside"),
    ("namespace { [[gnu::noinline]] int g(int x) { return x; } }\n"
     "namespace nibble::inline v0::cpu::toy { int f(int x) { return g(x); } }", None),
]


def self_test(compiler):
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        source, built = pathlib.Path(folder, "planted.cpp"), pathlib.Path(folder, "planted.o")
        for planted, find in ((PLANTED_IN_LIBRARY, library_problems),
                              (PLANTED_IN_TIER, lambda file: tier_problems("toy", file))):
            for text, expected in planted:
                source.write_text(text + "\n")
                output(compiler, "-std=c++20", "-O2", "-DNDEBUG", "-fPIC", "-c", source, "-o", built)
                found = list(find(built))
                if not found if expected is None else any(expected in f for f in found):
                    continue
                wrong.append(f"self-test: expected {expected} of\n{text}\nfound {found}")
    return wrong


if __name__ == "__main__":
    problems = self_test(sys.argv[2]) if sys.argv[1] == "--self-test" else check(*sys.argv[1:])
    print("\n".join(problems))
    sys.exit(bool(problems))
