"""Saved cases in an SQLite file: one connection, one writer at a time, a numbered schema."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from softcam.errors import InputError
from softcam.web.cases_schemas import CaseOut, NewCase, Reading
from softcam.web.refusals import Refusal, busy

APPLICATION = 0x53434C47  # "SCLG": tells our files from other programs'
_MIGRATIONS = (
    """
    CREATE TABLE cases (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        revision INTEGER NOT NULL,
        created TEXT NOT NULL,
        updated TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        about TEXT NOT NULL,
        reading TEXT NOT NULL
    );
    CREATE INDEX cases_by_image ON cases (sha256);
    CREATE TABLE images (
        number INTEGER PRIMARY KEY REFERENCES cases (number) ON DELETE CASCADE,
        content BLOB NOT NULL
    );
    """,
)
"""Each brings the schema from its place to the next; never changed once released."""

_READING = tuple(Reading.model_fields)
_LEFT = 4 << 20  # bytes of the write-ahead log that stay on the disk once it is folded in
_TOLD = 8 << 20  # characters of the cases that are in memory at once
_SELECT = """
    SELECT id, revision, created, updated, about, reading,
        EXISTS (SELECT 1 FROM images WHERE images.number = cases.number), cases.number
    FROM cases
"""


class CaseStore:
    """Keeps cases.

    Args:
        path: The file; made if it is not there, for its owner only.
        most_bytes: How large the file may grow; its write-ahead log adds the largest image that is
            kept, and a little.

    Raises:
        InputError: It cannot be opened, is another program's, or a later softcam's.
    """

    def __init__(self, path: Path, most_bytes: int = 20 << 30) -> None:
        self._lock = threading.Lock()
        try:
            # Readings are nobody else's business; SQLite gives its other files the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(
                path, timeout=5.0, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise InputError(
                f"--cases: {path} cannot be opened ({error}); name a file that can be written."
            ) from error
        try:
            self._prepare(path, most_bytes)
        except sqlite3.Error as error:
            self._db.close()
            raise InputError(
                f"--cases: {path} is no case log ({error}); name another file."
            ) from error
        except InputError:
            self._db.close()
            raise

    def _prepare(self, path: Path, most_bytes: int) -> None:
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION and (application or tables):
            raise InputError(f"--cases: {path} is another program's file; name another file.")
        if version > len(_MIGRATIONS):
            raise InputError(f"--cases: {path} was written by a later softcam; use that one.")
        self._db.execute("PRAGMA journal_mode = WAL")
        # What is said to be saved is on the disk, and what is deleted is not.
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute(f"PRAGMA journal_size_limit = {_LEFT}")
        (page,) = self._db.execute("PRAGMA page_size").fetchone()
        self._db.execute(f"PRAGMA max_page_count = {max(16, most_bytes // page)}")
        if version < len(_MIGRATIONS):
            steps = "".join(_MIGRATIONS[version:])
            self._db.executescript(
                f"BEGIN IMMEDIATE; {steps} PRAGMA application_id = {APPLICATION}; "
                f"PRAGMA user_version = {len(_MIGRATIONS)}; COMMIT;"
            )

    def close(self) -> None:
        """Close the file; its write-ahead log is folded in."""
        with self._lock:
            self._db.close()

    def add(self, case: NewCase) -> CaseOut:
        """Save a case.

        Raises:
            Refusal: 507 if the log or its disk is full, 503 if it cannot be saved else.
        """
        now, id_ = _now(), secrets.token_hex(10)
        given = case.model_dump()
        reading = {name: given.pop(name) for name in _READING}
        values = (id_, 1, now, now, case.sha256, json.dumps(given), json.dumps(reading))
        with self._writing() as db:
            db.execute(
                "INSERT INTO cases (id, revision, created, updated, sha256, about, reading) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            return self._get(id_)

    def change(self, id_: str, revision: int, reading: Reading) -> CaseOut:
        """Put another reading in the place of a case's.

        Args:
            id_: The case.
            revision: What the change was made from.
            reading: The new one.

        Raises:
            Refusal: 404 if there is no such case, 409 if it was changed meanwhile, 503, 507.
        """
        kept = json.dumps(reading.model_dump(include=set(_READING)))
        with self._writing() as db:
            found = self._get(id_)
            if found.revision != revision:
                raise Refusal(
                    409,
                    "changed_meanwhile",
                    "The case was changed meanwhile; load it again and make your change there.",
                )
            db.execute(
                "UPDATE cases SET revision = revision + 1, updated = ?, reading = ? WHERE id = ?",
                (_now(), kept, id_),
            )
            return self._get(id_)

    def delete(self, id_: str) -> None:
        """Delete a case, and its image.

        Raises:
            Refusal: 404 if there is no such case, 503.
        """
        with self._writing() as db:
            self._get(id_)
            db.execute("DELETE FROM cases WHERE id = ?", (id_,))

    def keep_image(self, id_: str, content: bytes) -> CaseOut:
        """Keep the image with a case.

        Raises:
            Refusal: 404 if there is no such case, 503, 507.
        """
        with self._writing() as db:
            self._get(id_)
            db.execute(
                "INSERT OR REPLACE INTO images (number, content) "
                "SELECT number, ? FROM cases WHERE id = ?",
                (content, id_),
            )
            return self._get(id_)

    def image_size(self, id_: str) -> int:
        """Give the bytes of the image that is kept with a case; 0 if there is none."""
        with self._reading() as db:
            found = db.execute(
                "SELECT length(content) FROM images JOIN cases USING (number) WHERE id = ?", (id_,)
            ).fetchone()
        return 0 if found is None else int(found[0])

    def image(self, id_: str) -> bytes:
        """Give the image that is kept with a case.

        Raises:
            Refusal: 404 if there is none, 503.
        """
        with self._reading() as db:
            found = db.execute(
                "SELECT content FROM images JOIN cases USING (number) WHERE id = ?", (id_,)
            ).fetchone()
        if found is None:
            raise Refusal(404, "no_such_image", "No image is kept with this case.")
        return bytes(found[0])

    def get(self, id_: str) -> CaseOut:
        """Give a case.

        Raises:
            Refusal: 404 if there is no such case, 503.
        """
        with self._reading():
            return self._get(id_)

    def list(
        self, *, offset: int = 0, limit: int = 100, sha256: str | None = None
    ) -> tuple[list[CaseOut], int]:
        """List cases, the latest first.

        Args:
            offset: How many are left out.
            limit: How many there may be; where they are long, fewer are given.
            sha256: Only those of this image.

        Returns:
            The cases, and how many there are without offset and limit.

        Raises:
            Refusal: 503.
        """
        where, values = ("", ()) if sha256 is None else ("WHERE sha256 = ?", (sha256,))
        with self._reading() as db:
            (total,) = db.execute(f"SELECT count(*) FROM cases {where}", values).fetchone()
            rows = _taken(
                db.execute(
                    f"{_SELECT} {where} ORDER BY updated DESC, number DESC LIMIT ? OFFSET ?",
                    (*values, limit, offset),
                )
            )
        return [_case(row) for row in rows], int(total)

    def walk(self, count: int = 500) -> Iterator[Sequence[CaseOut]]:
        """Go through all cases in the order in which they were made.

        Args:
            count: How many are in memory at once, at most.

        Yields:
            Some of them; others may be changed in between.

        Raises:
            Refusal: 503.
        """
        last = 0
        while True:
            with self._reading() as db:
                rows = _taken(
                    db.execute(f"{_SELECT} WHERE number > ? ORDER BY number LIMIT ?", (last, count))
                )
            if not rows:
                return
            yield [_case(row) for row in rows]
            last = rows[-1][-1]

    def _get(self, id_: str) -> CaseOut:
        row = self._db.execute(f"{_SELECT} WHERE id = ?", (id_,)).fetchone()
        if row is None:
            raise Refusal(404, "no_such_case", "There is no such case; see /v1/cases.")
        return _case(row)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                if "locked" in str(error):
                    raise busy("Another program writes to the case log; try again.") from error
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                    raise Refusal(
                        507,
                        "case_log_full",
                        "The case log or its disk is full; delete cases, or start the server with "
                        "a larger --max-cases.",
                    ) from error
                raise Refusal(
                    503,
                    "cases_unavailable",
                    "The case log cannot be used: its disk fails, or the file is damaged.",
                    headers={"Retry-After": "30"},
                ) from error


def _taken(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Take rows until they are too long to be in memory at once; one at least."""
    taken, length = [], 0
    for row in rows:
        taken.append(row)
        length += len(row[4]) + len(row[5])
        if length > _TOLD:
            break
    return taken


def _case(row: tuple[Any, ...]) -> CaseOut:
    id_, revision, created, updated, about, reading, has_image, _ = row
    return CaseOut(
        id=id_,
        revision=revision,
        created=created,
        updated=updated,
        has_image=bool(has_image),
        **json.loads(about),
        **json.loads(reading),
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
