#!/usr/bin/env python3
"""Writes the seeds of fuzz_template into corpus/template/, and template.dict; from the fixture of the text tests."""
import json
from pathlib import Path

here = Path(__file__).parent
fixture = json.loads((here.parent / "fixtures/templates.json").read_text())
folder = here / "corpus/template"
folder.mkdir(parents=True, exist_ok=True)

# Fewer files: some templates each, and what is refused by itself.
accepted = [template for template, output in fixture["cases"] if output is not None]
for i in range(0, len(accepted), 4):
    (folder / f"accepted-{i // 4:02}").write_bytes("\n".join(accepted[i : i + 4]).encode())
for i, (template, output) in enumerate(case for case in fixture["cases"] if case[1] is None):
    (folder / f"refused-{i:02}").write_bytes(template.encode())

ROLES = """{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + (m.content or '') + '<|end|>\\n' }}
{%- if m.tool_calls %}{% for c in m.tool_calls %}{{ c.function|tojson }}{% endfor %}{% endif %}{% endfor %}"""
(folder / "cut_character").write_bytes(bytes.fromhex("0a7b253c3dc2a0"))  # a past finding
(folder / "roles").write_text(ROLES)
variables = json.dumps(fixture["variables"], ensure_ascii=False)
(folder / "variables").write_bytes(("{{ nested }}{{ people|tojson(indent=2) }}\0" + variables).encode())

WORDS = """{{ }} {% %} {# #} {%- -%} {{- -}} {%+ if elif else endif for in endfor set endset macro endmacro call endcall
filter endfilter with endwith raw endraw generation endgeneration break continue is not and or defined none true
namespace( range( raise_exception( strftime_now( loop. loop.index loop.previtem caller() |tojson |trim |length |join(
|map( |selectattr( |default( |indent( |sort |unique |dictsort |replace( |int |from_json .split( .strip( .format( .items()
.get( .append( .pop( .startswith( [::-1] [1:] ** // ~ == != <= messages tools bos_token content role __class__""".split()
quoted = [w.replace("\\", "\\\\").replace('"', '\\"') for w in WORDS]
(here / "template.dict").write_text("".join(f'"{w}"\n' for w in quoted))
