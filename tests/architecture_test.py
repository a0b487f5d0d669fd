"""What the code promises of its own structure: who imports whom, documented definitions, short files, a whole map."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Along the data's way: a folder may import itself and what is named here, lazily or not.
MAY_IMPORT = {
    "logic": set(),
    "model": set(),
    "loop": {"logic", "model"},
    "eval": {"logic", "model", "loop"},
    "launch": {"logic", "model", "loop", "eval"},
}
# A command module of these may import these modules, in its block for `python -m` alone.
FOR_COMMANDS = {"logic": {"launch.cli"}, "eval": {"launch.cli", "launch.configuration"}}

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
LONGEST = 320  # lines of a file

# What still breaks a rule. The lists may only become shorter: an entry that is no longer true fails the test.
WRONG_WAY: set[tuple[str, str]] = set()
TOO_LONG = {
    "tests/stress/verdicts.py",
    "tests/eval/report/build_test.py",
    "tests/launch/cli_test.py",
    "tests/launch/benchmark_test.py",
    "tests/launch/slurm_test.py",
}

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in MAY_IMPORT
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def command_blocks(tree: ast.Module) -> list[ast.If]:
    """The blocks `if __name__ == "__main__":` of a module."""
    return [
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
    ]


def imports(tree: ast.AST, module: str, package: bool) -> Iterator[str]:
    """All modules that code imports, within functions too: `from a import b` gives `a.b` if that is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: len(module.split(".")) - node.level + package] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                name = f"{source}.{alias.name}"
                yield name if name in FILES else source


def wrong_imports(code: str, module: str, package: bool = False) -> set[str]:
    """The imports of a module that go against the data's way."""
    tree = ast.parse(code)
    commands = command_blocks(tree)
    allowed = {name for block in commands for name in imports(block, module, package)}
    allowed &= FOR_COMMANDS.get(module.split(".")[0], set())
    for block in commands:
        tree.body.remove(block)
    outside = set(imports(tree, module, package))
    within = {name for block in commands for name in imports(block, module, package)} - allowed
    folder = module.split(".")[0]
    return {
        name
        for name in outside | within
        if (top := name.split(".")[0]) in MAY_IMPORT and top != folder and top not in MAY_IMPORT[folder]
    }


def test_imports_go_along_the_datas_way():
    found = {
        (module, name)
        for module, path in FILES.items()
        for name in wrong_imports(path.read_text(encoding="utf-8"), module, path.name == "__init__.py")
    }
    assert found - WRONG_WAY == set(), "these imports go the wrong way"
    assert WRONG_WAY - found == set(), "these are mended: take them off the list"


@pytest.mark.parametrize(
    ("module", "code", "wrong"),
    [
        ("logic.a", "import eval.analyze", {"eval.analyze"}),
        ("logic.a", "import numpy, launch.cli as c", {"launch.cli"}),
        ("model.a", "def f():\n    from loop import config", {"loop.config"}),
        ("loop.a", "class A:\n    def f(self):\n        import eval.measures.row", {"eval.measures.row"}),
        ("loop.storage.a", "from ..training import data\nfrom ...eval import analyze", {"eval.analyze"}),
        ("loop.a", "from logic.errors import UsageError\nfrom model import config", set()),
        ("eval.a", "if __name__ == '__main__':\n    from launch import cli\n    cli.run(main)", set()),
        ("eval.a", "if __name__ == '__main__':\n    from launch import main", {"launch.main"}),
        ("eval.a", "def main():\n    from launch import cli", {"launch.cli"}),
        ("eval.a", "from launch.cli import run\nif __name__ == '__main__':\n    import launch.cli", {"launch.cli"}),
        ("loop.a", "if __name__ == '__main__':\n    from launch import cli", {"launch.cli"}),
        ("launch.a", "import eval.report.build, loop.run, logic, model.config", set()),
    ],
)
def test_the_rule_sees_imports_wherever_they_are(module, code, wrong):
    assert wrong_imports(code, module) == wrong


def definitions(body: list[ast.stmt], name: str) -> Iterator[tuple[str, Definition, list[str]]]:
    """A module's public classes and functions and these classes' public methods, with the names of a class's bases."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            bases = [ast.unparse(base).split(".")[-1].split("[")[0] for base in node.bases]
            yield f"{name}.{node.name}", node, bases
            for method, inner, _ in definitions(node.body, f"{name}.{node.name}"):
                yield method, inner, bases
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield f"{name}.{node.name}", node, []


def undocumented(sources: dict[str, str]) -> list[str]:
    """Modules and public definitions without a docstring, of the code of every module by its name.

    A method has the docstring of the base class's method, as `help` shows it. Overloads and setters have another
    definition that is documented.
    """
    found = []
    everything: list[tuple[str, Definition, list[str]]] = []
    for module, code in sources.items():
        tree = ast.parse(code)
        if not ast.get_docstring(tree):
            found.append(module)
        everything += definitions(tree.body, module)
    documented = {".".join(name.split(".")[-2:]) for name, node, _ in everything if ast.get_docstring(node)}
    for name, node, bases in everything:
        short = name.split(".")[-1]
        elsewhere = any(f"{base}.{short}" in documented for base in bases)
        decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
        elsewhere |= any(decorator.endswith((".setter", "overload")) for decorator in decorators)
        if not ast.get_docstring(node) and not elsewhere:
            found.append(name)
    return found


def test_every_public_definition_has_a_docstring():
    assert undocumented({module: path.read_text(encoding="utf-8") for module, path in FILES.items()}) == []


def test_the_rule_sees_what_has_no_docstring():
    code = '''
"""Text."""
class A:
    """Text."""
    def told(self):
        """Text."""
    def untold(self): ...
    def _private(self): ...
class B(A):
    def told(self): ...
    def more(self): ...
def f(): ...
def _g(): ...
'''
    assert undocumented({"m": code, "n": "x = 1"}) == ["n", "m.A.untold", "m.B", "m.B.more", "m.f"]


def test_files_can_be_read_in_one_go():
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in (*MAY_IMPORT, "tests")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in {".py", ".js", ".css", ".jinja", ".sh"}
    }
    too_long = {name for name, count in lines.items() if count > LONGEST}
    assert too_long - TOO_LONG == set(), f"longer than {LONGEST} lines"
    assert TOO_LONG - too_long == set(), "these are short enough now: take them off the list"


def map_of_the_readme() -> dict[str, str]:
    """The README's tree: what stands behind each folder's name, to the next folder's."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = text.split("## The tree, along the data's way")[1].split("```")[1]
    sections: dict[str, str] = {}
    for line in tree.strip().splitlines():
        if not line.startswith(" "):
            folder = line.split("/")[0]
        sections[folder] = sections.get(folder, "") + line + "\n"
    return sections


def test_the_readmes_tree_names_every_module():
    sections = map_of_the_readme()
    absent = []
    for module, path in FILES.items():
        if path.name in ("__init__.py", "__main__.py") or path.parent.name in ("presets", "benchmarks"):
            continue
        words = sections.get(module.split(".")[0], "").replace("/", " ").split()
        if path.name not in words and path.stem not in words:
            absent.append(str(path.relative_to(ROOT)))
    assert absent == []
