"""Reading the text files that users write: csv, json and jsonl, as editors and spreadsheets of any system save them.

A byte order mark is removed, UTF-16 with one is read (Excel's "Unicode Text", PowerShell's >), and only \\n, \\r\\n and
\\r end a line: U+2028, U+2029 and U+0085 are ordinary characters, although str.splitlines splits at them;
json.dumps(ensure_ascii=False) writes them unescaped.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import os
from pathlib import Path
from typing import Any

from demo_jax.errors import InputError

_MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


def read_text(path: str | os.PathLike, name: str) -> str:
    """Returns the text of a file without its byte order mark, line ends unchanged. `name` names the file in messages,
    such as "track a.csv". Raises InputError if it cannot be opened or is not text in UTF-8 (or UTF-16 with a mark)."""
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{name} cannot be read ({getattr(error, 'strerror', None) or error}).") from error
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        place = f"byte {error.start + 1}"
        raise InputError(f"{name} is not text in UTF-8 ({place}), or is damaged; save it as UTF-8.") from error


def read_lines(path: str | os.PathLike, name: str) -> list[str]:
    """Returns the lines of read_text without line ends. Raises InputError as it does."""
    return [line.rstrip("\r\n") for line in io.StringIO(read_text(path, name), newline="")]


def read_csv(path: str | os.PathLike, name: str) -> list[list[str]]:
    """Returns the rows of a csv file, the heading first, without empty rows and without spaces around cells. Cells are
    separated by commas or, if the heading has none, by semicolons or tabs. Raises InputError as read_text does, and if
    the file is not a csv."""
    text = read_text(path, name)
    heading = text.lstrip().partition("\n")[0]
    delimiter = next((d for d in ",;\t" if d in heading), ",")
    try:
        table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        rows = [[cell.strip() for cell in row] for row in table]
    except csv.Error as error:
        raise InputError(f"{name} is not a csv file, or is damaged ({error}).") from error
    return [row for row in rows if any(row)]


def read_table(path: str | os.PathLike, name: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Returns the rows of a csv file below its heading, as column -> cell; missing cells of a short row are "". Raises
    InputError if it cannot be read, the heading lacks one of `columns`, or a row has more cells than the heading."""
    expected = f"{name}: it must be a csv with the columns {' and '.join(columns)}"
    try:
        heading, *rows = read_csv(path, "it") or [[]]
    except InputError as error:
        raise InputError(f"{expected}; {error}") from error
    if missing := [column for column in columns if column not in heading]:
        raise InputError(f"{expected}; it has no column {missing[0]}.")
    for number, row in enumerate(rows, start=1):
        if any(row[len(heading) :]):
            raise InputError(f"{name}: row {number} has {len(row)} cells, the heading {len(heading)}.")
    return [dict(itertools.zip_longest(heading, row[: len(heading)], fillvalue="")) for row in rows]


def parse_json(text: str, name: str) -> Any:
    """Returns the value of a JSON text. Raises InputError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON ({error}).") from error


def check_flag(name: str, value: Any) -> bool:
    """Returns the value if it is JSON's true or false. Raises InputError otherwise: the string "false" is truthy."""
    if not isinstance(value, bool):
        raise InputError(f"{name} is {json.dumps(value)}; write true or false, without quotes.")
    return value
