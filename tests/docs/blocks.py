"""Code in Markdown pages: fenced blocks with their language and line, and commands in running text."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_OTHERS = ("README.md", "CONTRIBUTING.md", "third_party/README.md", "experiments/bundled/README.md")
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in _OTHERS)]
_FENCE = re.compile(r"^(\s*)```([\w-]*)\s*$")
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block. line: of its first line of code, from 1."""

    page: Path
    line: int
    language: str
    text: str


@dataclasses.dataclass(frozen=True)
class Command:
    """A line that a reader would type. line: in its page, from 1."""

    page: Path
    line: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.text}"


def name_of(page: Path) -> str:
    """The page as tests call it."""
    return str(page.relative_to(ROOT))


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, their common indentation taken off."""
    blocks, opened = [], None
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened = (number + 1, fence[2], len(fence[1]))
        elif opened is not None and fence and not fence[2]:
            start, language, indent = opened
            text = "\n".join(code[indent:] for code in lines[start - 1 : number - 1])
            blocks.append(Block(page, start, language, text + "\n"))
            opened = None
    assert opened is None, f"{page}: a block that begins before line {opened} does not end"
    return blocks


def commands_of(page: Path) -> list[Command]:
    """The lines of all blocks that are no Python, continued lines joined."""
    commands = []
    for block in blocks_of(page):
        if block.language == "python":
            continue
        lines = block.text.splitlines()
        for offset in range(len(lines)):
            if offset and lines[offset - 1].endswith("\\"):
                continue
            end = offset
            while lines[end].endswith("\\") and end + 1 < len(lines):
                end += 1
            whole = " ".join(part.removesuffix("\\").strip() for part in lines[offset : end + 1])
            commands.append(Command(page, block.line + offset, whole.removeprefix("$ ")))
    return commands


def inline_commands_of(page: Path) -> list[Command]:
    """What running text and tables set as code."""
    found, inside = [], False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside:
            found += [Command(page, number, code) for code in _INLINE.findall(line)]
    return found
