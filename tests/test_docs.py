"""What the documentation says is so: its Python runs, commands parse, tables are complete, links lead somewhere."""

import ast
import dataclasses
import doctest
import importlib
import io
import json
import pkgutil
import re
import runpy
import shlex
import shutil
import sys
import tomllib
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

import otoscope
from otoscope import StudyConfig, errors
from otoscope.asr import ARCHITECTURES, TrainingConfig
from otoscope.cli import main
from otoscope.cli.app import app
from otoscope.measures import registry
from otoscope.study import ProbeConfig, RecogniserConfig, versions
from otoscope.study.plan import Plan, RunPlan

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "otoscope"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [m.name for m in pkgutil.walk_packages(otoscope.__path__, "otoscope.") if not m.name.endswith("__main__")]
ERRORS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def label(page: Path) -> str:
    return str(page.relative_to(ROOT))


# Docstrings


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name, monkeypatch, tmp_path):
    monkeypatch.setenv("OTOSCOPE_CACHE", str(tmp_path))  # examples may change it: restored afterwards
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0


def test_every_public_name_has_a_docstring_and_a_line_in_the_api_page():
    listed = re.findall(r"^\| `(\w+)` \|", read("docs/api.md"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(otoscope.__all__)
    assert [name for name in otoscope.__all__ if not (getattr(otoscope, name).__doc__ or "").strip()] == []


@pytest.mark.parametrize("name", ["cka", "cca", "svcca", "pwcca", "similarity", "Moments", "capture", "load", "check"])
def test_what_users_call_first_is_shown_by_example(name):
    assert ">>> " in getattr(otoscope, name).__doc__


# Pages


@pytest.fixture
def reader(finished_study, an4_subset, tmp_path, monkeypatch):
    """A folder with what the pages speak of: my-study, path/to/corpus. Studies in it are tiny ones."""
    shutil.copytree(finished_study, tmp_path / "my-study")
    (tmp_path / "path" / "to").mkdir(parents=True)
    (tmp_path / "path" / "to" / "corpus").symlink_to(an4_subset)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTOSCOPE_CACHE", str(tmp_path / "cache"))
    asked = StudyConfig.default

    def tiny(*args, **fields):
        asked(*args, **fields)  # what the page asks for must be a study
        # Trained already, one measure: a second or two of comparisons, and few figures to draw.
        return StudyConfig.read(Path("my-study/study.toml")).model_copy(update={"measures": ("cka",)})

    monkeypatch.setattr(StudyConfig, "default", tiny)
    return tmp_path


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=label)
def test_python_on_the_pages_runs(page, reader):
    random = np.random.default_rng(0)
    names = {"__name__": "__main__", "x": random.standard_normal((1447, 8)), "y": random.standard_normal((1447, 6))}
    for block in blocks(page, "python"):
        with redirect_stdout(io.StringIO()):
            exec(compile(block, label(page), "exec"), names)


def commands(page: Path) -> list[str]:
    lines = [line.partition(" #")[0].strip() for block in blocks(page, "(?:sh)?") for line in block.splitlines()]
    return [line for line in lines if line.startswith(("otoscope ", "make ", "python "))]


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=label)
def test_commands_on_the_pages_parse(page):
    for line in commands(page):
        program, *arguments = shlex.split(line)
        if program == "make":
            assert re.search(rf"^{arguments[0]}:", read("Makefile"), flags=re.MULTILINE), line
        elif program == "python":
            assert (ROOT / arguments[0]).is_file(), line
        else:
            app.parse_args(arguments, exit_on_error=False, print_error=False)


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{label(page)}: {target}"
        assert not anchor or anchor in slugs(there), f"{label(page)}: {target}"


def test_the_architecture_page_has_the_order_of_imports_that_is_checked():
    contract = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"][0]
    order = [name.removeprefix("otoscope.") for name in reversed(contract["layers"])]
    assert " ← ".join(order) in " ".join(read("docs/architecture.md").split())


def test_the_changelog_and_the_package_agree_on_the_version():
    assert tomllib.loads(read("pyproject.toml"))["project"]["version"] in read("CHANGELOG.md")


# The command line and study.toml


def options(group, path=()):
    """Every command's path with the options it takes."""
    for name in group:
        if name.startswith("-"):
            continue
        command = group[name]
        if command.default_command is None:
            yield from options(command, (*path, name))
        else:
            yield " ".join((*path, name)), [n for a in command.assemble_argument_collection() for n in a.names]


@pytest.mark.parametrize(("command", "names"), list(options(app)), ids=lambda v: v if isinstance(v, str) else "")
def test_every_option_is_described_under_its_command(command, names):
    section = re.search(
        rf"^## otoscope {command.split()[0]}\n(.*?)(?=^## )", read("docs/cli.md"), re.DOTALL | re.MULTILINE
    )
    assert section, command
    assert [n for n in names if f"`{n}`" not in section[1]] == []
    assert command.split()[-1] in section[0]


def test_the_example_of_study_toml_is_a_study():
    for block in blocks(ROOT / "docs" / "cli.md", "toml"):
        config = StudyConfig.of(**tomllib.loads(block))
        assert StudyConfig.of(**tomllib.loads(config.toml())) == config


def test_every_field_of_study_toml_is_described():
    section = read("docs/cli.md").partition("## study.toml")[2]
    wanted = [f"`{name}`" for name in StudyConfig.model_fields if name not in ("probe", "recognisers")]
    wanted += [f"`probe.{name}`" for name in ProbeConfig.model_fields]
    wanted += [f"`{name}`" for name in RecogniserConfig.model_fields]
    for kind in (TrainingConfig, *(a.config for a in ARCHITECTURES.values())):
        wanted += [f"`{f.name}`" for f in dataclasses.fields(kind)]
    assert [name for name in wanted if name not in section] == []


def test_every_measure_is_described():
    for page in ("docs/cli.md", "docs/measures.md"):
        assert [name for name in registry.names() if f"`{name}`" not in read(page)] == []


def keys(content) -> set[str]:
    if isinstance(content, dict):
        return set(content).union(*map(keys, content.values()))
    return set().union(*map(keys, content)) if isinstance(content, list) else set()


def test_keys_of_json_output_are_described(reader, capsys):
    checkpoint = "my-study/recognisers/cnn/seed0/checkpoints/step-000000.safetensors"
    data = {"train", "dev", "test", "cka", *versions()}  # names of splits, measures and packages, not of the format
    for command in (
        "corpus list --json",
        "corpus check path/to/corpus --json",
        f"layers {checkpoint} --json",
        f"measure {checkpoint} --corpus path/to/corpus --split test --json",
    ):
        with pytest.raises(SystemExit) as exit_:
            main(command.split())
        assert exit_.value.code == 0
        found = keys(json.loads(capsys.readouterr().out)) - data
        assert [k for k in sorted(found) if f"`{k}`" not in read("docs/cli.md")] == [], command
    for kind in (Plan, RunPlan):
        assert [f.name for f in dataclasses.fields(kind) if f"`{f.name}`" not in read("docs/cli.md")] == []


def test_keys_of_a_studys_json_files_are_described(finished_study):
    page = read("docs/results-format.md")
    manifest = json.loads((finished_study / "manifest.json").read_text(encoding="utf-8"))
    run = finished_study / "recognisers" / "cnn" / "seed0"
    log = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    found = {*manifest, *manifest["corpus"], *manifest["recognisers"][0], *json.loads((run / "test.json").read_text())}
    found |= {*manifest["corpus"]["probe"], *manifest["corpus"]["problems"], *manifest["host"]}.union(*log)
    assert [key for key in sorted(found) if f"`{key}`" not in page] == []


# Errors


def messages() -> dict[str, list[str]]:
    """By error class, every message in the source as `raise` has it, … for what is filled in."""

    def skeleton(node: ast.AST) -> str:
        if isinstance(node, ast.JoinedStr):
            return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "…"

    found: dict[str, list[str]] = {name: [] for name in ERRORS}
    for path in SOURCE.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        # What functions of the same module return, since some messages are made by one.
        made = {
            f.name: r.value
            for f in nodes
            if isinstance(f, ast.FunctionDef)
            for r in f.body
            if isinstance(r, ast.Return)
        }
        for node in nodes:
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in ERRORS:
                argument = node.args[0]
                if isinstance(argument, ast.Call):
                    argument = made.get(getattr(argument.func, "id", None), argument)
                if isinstance(argument, ast.BinOp):
                    argument = argument.left
                found[node.func.id].append(skeleton(argument))
    return found


def rows(section: str) -> list[str]:
    return re.findall(r"^\| `(.+?)` \| ", section, flags=re.MULTILINE)


def covers(row: str, message: str) -> bool:
    """Whether a row's parts (between its …) all stand in a message, in this order."""
    return re.search(".*".join(map(re.escape, row.split("…"))), message, re.DOTALL) is not None


@pytest.mark.parametrize("name", list(ERRORS))
def test_every_error_has_a_section_with_each_of_its_messages(name):
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", read("docs/errors.md"), re.DOTALL | re.MULTILINE)
    assert section, f"docs/errors.md has no section on {name}"
    described, raised = rows(section[1]), messages()[name]
    missing = [m for m in raised if m.strip("…") and not any(covers(row, m) for row in described)]
    assert missing == [], "messages without a row"
    assert [row for row in described if not any(covers(row, m) for m in raised)] == [], "rows without a message"


# Examples


def run_example(monkeypatch, name: str, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    out = io.StringIO()
    with redirect_stdout(out):
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
    return out.getvalue()


def table(text: str, header: str) -> np.ndarray:
    """The numbers of the Markdown table under a header."""
    body = text.partition(header + "\n")[2].split("\n\n")[0].splitlines()[1:]
    return np.array(
        [[float(cell) for cell in line.strip("| ").split("|") if _number(cell)] for line in body if "|" in line]
    )


def _number(cell: str) -> bool:
    return re.fullmatch(r"\s*-?[\d.]+\s*", cell) is not None


@pytest.mark.parametrize(
    ("script", "arguments", "headers"),
    [
        ("autocorrelated_frames.py", ["--draws", "1"], ["| true CKA | φ | biased | debiased | cross-utterance |"]),
        (
            "padding_and_few_frames.py",
            [],
            ["| frames | biased | debiased |", "| frames | units | biased | its null level | debiased |"],
        ),
    ],
)
def test_the_tables_of_the_readme_are_what_the_examples_print(script, arguments, headers, monkeypatch):
    printed = run_example(monkeypatch, script, *arguments)
    for header in headers:
        here, there = table(read("README.md"), header), table(printed, header)
        assert here.size
        np.testing.assert_allclose(here, there, atol=0.015)  # four spreads of a single draw


def test_the_example_of_an_own_model_runs(reader, monkeypatch):
    printed = run_example(monkeypatch, "own_model.py", "path/to/corpus")
    assert "seed0:encoder.layers.2" in printed
    assert "seed1:front" in printed


def test_the_example_that_reads_results_runs(reader, monkeypatch):
    printed = run_example(monkeypatch, "read_results.py", "my-study")
    assert "cnn/seed0: test WER" in printed
    assert "to_final" in printed
