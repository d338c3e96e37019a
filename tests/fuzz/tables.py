"""Damaged data sets: tables, boxes, masks and dataset.yaml that say what they must not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.fuzz.damage import RANDOM
from tests.fuzz.whole import whole_data_set

Rng = np.random.Generator
Change = Callable[[bytes, Rng], bytes]


def _line(data: bytes, rng: Rng, change: Callable[[list[bytes]], None]) -> bytes:
    """Change the cells of one row."""
    lines = data.splitlines()
    place = int(rng.integers(1, len(lines)))
    cells = lines[place].split(b",")
    change(cells)
    lines[place] = b",".join(cells)
    return b"\n".join(lines) + b"\n"


def _cell(data: bytes, rng: Rng, value: bytes) -> bytes:
    def change(cells: list[bytes]) -> None:
        cells[int(rng.integers(len(cells)))] = value

    return _line(data, rng, change)


_CELLS = (
    b"",
    b"nan",
    b"inf",
    b"-1",
    b"1e400",
    b"1" * 400,
    b"9" * 5000,
    b"-" + b"9" * 5000,
    b"9" * 5000 + b".0",
    b"0x10",
    "\u00b2".encode(),  # a digit to str.isdigit and no number to int
    "\u0663".encode(),  # a digit and a number
    b"../../../../../../etc/passwd",
    b"/etc/passwd",
    b"a" * 100_000,
    b"b/" * 3000,
    b"1.png\0",
    b"1.png#1",
    b"1.png#0",
    b"1.png#99999999",
    b"\x1b[31mred\x1b[0m",
    b'"two\nlines"',
    b'"never closed',
    b'clo"sed',
    "\u202eturned\u2028".encode(),
    b"\xff\xfe",
    b"=cmd()",
)


def _csv_kinds() -> dict[str, Change]:
    kinds: dict[str, Change] = {
        "a BOM": lambda d, r: b"\xef\xbb\xbf" + d,
        "UTF-16": lambda d, r: d.decode().encode("utf-16"),
        "Latin-1": lambda d, r: _cell(d, r, b"\xe4\xf6"),
        "semicolons": lambda d, r: d.replace(b",", b";"),
        "tabs": lambda d, r: d.replace(b",", b"\t"),
        "a header twice": lambda d, r: (
            d.replace(b"\n", b",image\n", 1).replace(b"\n", b",x\n").replace(b",x\n", b"\n", 1)
        ),
        "empty columns": lambda d, r: d.replace(b"\n", b"," * 50 + b"\n"),
        "a million columns": lambda d, r: d.replace(
            b"\n", b"".join(b",c%d" % i for i in range(1_000_000)) + b"\n", 1
        ),
        "a million equal columns": lambda d, r: d.replace(b"\n", b",c" * 1_000_000 + b"\n", 1),
        "a line of 10 MB": lambda d, r: _cell(d, r, b"a" * 10_000_000),
        "a header of 10 MB": lambda d, r: b"a" * 10_000_000 + d,
        "10 MB of commas": lambda d, r: d + b"," * 10_000_000 + b"\n",
        "10 MB of NULs": lambda d, r: d + bytes(10_000_000),
        "50,000 bad rows": lambda d, r: d + b"gone.png,0,train,p\n" * 50_000,
        "200,000 blank rows": lambda d, r: d + b"\n" * 200_000,
        "old line ends": lambda d, r: d.replace(b"\n", b"\r"),
        "no header": lambda d, r: d.partition(b"\n")[2],
        "a header only": lambda d, r: d.partition(b"\n")[0],
        "names with escapes": lambda d, r: d.replace(b"image", b"\x1b[31mimage", 1),
        "rows too long": lambda d, r: _line(d, r, lambda cells: cells.extend([b"x"] * 3)),
        "rows too short": lambda d, r: _line(d, r, lambda cells: cells.pop()),
    }
    for value in _CELLS:
        kinds[f"a cell {value[:12]!r}"] = lambda d, r, value=value: _cell(d, r, value)
    return kinds


CSV_KINDS = _csv_kinds()

_LAUGHS = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (sign, sign, b", ".join([b"*%c" % (sign - 1)] * 9)) for sign in b"bcdefghi"
)

YAMLS: dict[str, bytes] = {
    "a billion laughs": _LAUGHS,
    "a billion laughs as classes": _LAUGHS.replace(b"i: ", b"classes: "),
    "a billion laughs as images": _LAUGHS.replace(b"i: ", b"images: "),
    "a billion laughs as task": _LAUGHS.replace(b"i: ", b"task: "),
    "a billion laughs as findings": _LAUGHS.replace(b"i: ", b"findings: "),
    "a class of laughs": b"x: &x [1]\n" * 1 + _LAUGHS.replace(b"i: &i", b"classes: &i"),
    "a list that holds itself": b"classes: &a [*a]\n",
    "a mapping that holds itself": b"findings: &a {x: *a}\n",
    "deep lists": b"classes: " + b"[" * 20_000,
    "deep lists, closed": b"classes: " + b"[" * 3_000 + b"]" * 3_000,
    "deep mappings": b"{a: " * 5_000,
    "deep indentation": b"".join(b" " * i + b"a:\n" for i in range(2_000)),
    "a long number": b"classes: [" + b"9" * 5_000 + b", 1]\n",
    "a long hexadecimal number": b"classes: [0x" + b"f" * 20_000 + b", 1]\n",
    "a date that is none": b"classes: [2020-99-99, b]\n",
    "a date": b"classes: [2020-01-01, b]\n",
    "sexagesimal": b"positive: 1:60:99\n",
    "infinity": b"positive: .inf\n",
    "a tag of Python": b"classes: !!python/object/apply:os.system ['true']\n",
    "bytes": b"classes: [!!binary '////', b]\n",
    "a set": b"classes: !!set {a, b}\n",
    "an unknown tag": b"!x {}\n",
    "merge keys": b"<<: {task: binary}\n",
    "a key that is a list": b"? [a, b]\n: c\n",
    "a key that is null": b"~: c\n",
    "an endless merge": b"a: &a {<<: *a}\n",
    "two documents": b"task: binary\n---\ntask: binary\n",
    "many classes": b"classes: [" + b",".join(b"c%d" % i for i in range(20_000)) + b"]\n",
    "an escape": b'classes: ["\\e[31m", b]\n',
    "an escape as task": b'task: "\\e[31m"\n',
    "an escape as key": b'"\\e[31m": 1\n',
    "a NUL": b"task: bin\0ary\n",
    "a NUL in a folder": b'images: "a\\0b"\n',
    "a folder outside": b"images: ../../../../../..\n",
    "a long folder": b"images: " + b"a" * 5_000 + b"\n",
    "true": b"classes: [yes, no]\n",
    "a text": b"task\n",
    "a surrogate": b'classes: ["\\ud800", b]\n',
    "a long text": b"task: " + b"a" * 5_000_000 + b"\n",
    "a long class": b"classes: [" + b"a" * 5_000_000 + b", b]\n",
    "UTF-16": "task: binary\n".encode("utf-16"),
    "nothing": b"",
}


def damaged_data_set(rng: Rng) -> tuple[str, dict[str, bytes]]:
    """Damage one file of a data set.

    Returns:
        What was done, and the files by their path.
    """
    made = whole_data_set()
    part = rng.random()
    if part < 0.3:
        name = "table.csv" if rng.random() < 0.6 else "boxes.csv"
        kind = str(rng.choice(list(CSV_KINDS)))
        made[name] = CSV_KINDS[kind](made[name], rng)
        return f"{name}: {kind}", made
    if part < 0.6:
        kind = str(rng.choice(list(YAMLS)))
        made["dataset.yaml"] = YAMLS[kind]
        return f"dataset.yaml: {kind}", made
    names = ["table.csv", "boxes.csv", "dataset.yaml", "masks/dot/5.png", "images/3.png"]
    name = str(rng.choice(names))
    kind = str(rng.choice([*RANDOM, "empty"]))
    made[name] = b"" if kind == "empty" else RANDOM[kind](made[name], rng)
    return f"{name.rpartition('/')[2]}: {kind}", made
