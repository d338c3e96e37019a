"""The documentation says what is there: links, commands, flags, names and signatures."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import softcam
from softcam.cli.app import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [*TOP, *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELLS = ("bash", "sh", "shell", "console")
# Typer brings its own copy of click, so that the class is taken from there.
UsageError = typer.BadParameter.__mro__[1]


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, body in FENCE.findall(page.read_text("utf-8")):
        if language in languages:
            yield body


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """What a heading is called in a link: lower case, hyphens for spaces, punctuation dropped."""
    heads = re.findall(r"^#+ +(.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken_links(page: Path) -> list[str]:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(target)
    return broken


def command_lines(text: str) -> list[list[str]]:
    """The calls of softcam in a shell block, without comments, in words."""
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [call[1:] for call in words if call and Path(call[0]).name == "softcam"]


def check_call(words: list[str]) -> None:
    """Parse a command line as the program does, without running it."""
    group = typer.main.get_command(app)
    group.make_context("softcam", list(words), resilient_parsing="--help" in words)
    if words[0] == "--help":
        return
    command = group.commands[words[0]]
    command.make_context(words[0], words[1:], resilient_parsing="--help" in words)


def benchmark_flags() -> set[str]:
    """The flags that the scripts in benchmarks/ add to their parsers."""
    scripts = (path.read_text("utf-8") for path in (DOCS.parent / "benchmarks").glob("*.py"))
    return {flag for text in scripts for flag in re.findall(r'"(--[a-z][a-z-]*)"', text)}


def flags() -> set[str]:
    group = typer.main.get_command(app)
    found = {"--help"}
    for command in group.commands.values():
        found.update(
            name
            for parameter in command.params
            for name in (*parameter.opts, *parameter.secondary_opts)
        )
    return {name for name in found if name.startswith("--")}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_relative_link_leads_somewhere(page):
    assert broken_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_command_is_one_that_the_program_takes(page):
    for block in blocks(page, *SHELLS):
        for words in command_lines(block):
            check_call(words)


def test_a_command_that_does_not_exist_would_be_found():
    for line in (
        "softcam trains data",
        "softcam train data --stage 3",
        "softcam train data --epochs many",
        "softcam explain runs/fundus",
    ):
        (words,) = command_lines(line + "\n")
        with pytest.raises((UsageError, KeyError)):
            check_call(words)


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=_name)
def test_every_flag_named_in_the_text_exists(page):
    named = set(re.findall(r"`[^`\n]*?(--[a-z][a-z0-9-]*)[^`\n]*`", prose(page)))
    of_others = {"--constraint", "--nproc-per-node", "--max-restarts"}  # pip's and torchrun's
    assert named - flags() - benchmark_flags() <= of_others


def test_every_setting_of_training_is_described():
    text = (DOCS / "how-to" / "train.md").read_text("utf-8")
    described = set(re.findall(r"`(--[a-z0-9-]+)`", text))
    train = typer.main.get_command(app).commands["train"]
    options = {name for parameter in train.params for name in parameter.opts if name[:2] == "--"}
    assert options - described == {"--help"} & options


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_make_target_exists(page):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    text = "\n".join(blocks(page, *SHELLS)) + "\n".join(re.findall(r"`(.+?)`", prose(page)))
    assert set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_python_block_compiles(page):
    for block in blocks(page, "python"):
        compile(block, _name(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_softcam_import_in_a_python_block_exists(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("softcam"):
                module = importlib.import_module(node.module)
                assert [a.name for a in node.names if not hasattr(module, a.name)] == []
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "softcam"
            ):
                assert hasattr(softcam, node.attr), node.attr


def test_the_reference_names_every_public_name_and_command():
    text = (DOCS / "reference.md").read_text("utf-8")
    names = [name for name in softcam.__all__ if not re.search(rf"\b{name}\b", text)]
    commands = typer.main.get_command(app).commands
    assert names == []
    assert [name for name in commands if f"`softcam {name}" not in text] == []


def signatures() -> list[tuple[str, str]]:
    """The functions of the reference, as it writes them: name and parameters."""
    text = (DOCS / "reference.md").read_text("utf-8")
    written = [
        (node.name, ast.unparse(node.args))
        for block in blocks(DOCS / "reference.md", "python")
        for node in ast.parse(block).body
        if isinstance(node, ast.FunctionDef)
    ]
    for name, parameters in re.findall(r"\| `([\w.]+)\((.*?)\)` \|", text):
        if parameters != "..." and (hasattr(softcam, name) or name.startswith("softcam.")):
            written.append((name, ast.unparse(ast.parse(f"def f({parameters}): ...").body[0].args)))
    return written


@pytest.mark.parametrize(("name", "written"), signatures(), ids=lambda value: value[:30])
def test_the_reference_has_the_signature_of(name, written):
    if name.startswith("softcam."):
        module, _, name = name.rpartition(".")
        found = getattr(importlib.import_module(module), name)
    else:
        found = getattr(softcam if hasattr(softcam, name) else softcam.metrics, name)
    signature = inspect.signature(found)
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    text = str(inspect.Signature(bare))
    real = ast.parse(f"def f{text}: ...").body[0].args
    assert written == ast.unparse(real)
