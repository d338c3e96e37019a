from __future__ import annotations

import sqlite3
import stat
import threading

import pytest

from softcam.errors import InputError
from softcam.web import cases_store
from softcam.web.cases_schemas import NewCase, Reading
from softcam.web.cases_store import APPLICATION, CaseStore
from softcam.web.refusals import Refusal

DIGEST = "a" * 64


def case(**changes: object) -> NewCase:
    values = {
        "verdict": "accepted",
        "comment": "Drusen, not exudates.",
        "sha256": DIGEST,
        "width": 100,
        "height": 60,
        "model": "fundus",
        "called": ["lesion"],
        "probabilities": {"healthy": 0.25, "lesion": 0.75},
    }
    return NewCase.model_validate({**values, **changes})


@pytest.fixture
def store(tmp_path):
    made = CaseStore(tmp_path / "cases.db")
    yield made
    made.close()


def test_a_saved_case_is_there_after_a_restart(tmp_path):
    first = CaseStore(tmp_path / "cases.db")
    saved = first.add(case(frame=3, correct=["healthy"]))
    first.close()
    second = CaseStore(tmp_path / "cases.db")
    assert second.list() == ([saved], 1)
    assert (saved.revision, saved.frame, saved.correct) == (1, 3, ["healthy"])
    second.close()


def test_a_saved_case_is_there_for_another_process_before_the_store_is_closed(tmp_path, store):
    store.add(case())
    other = sqlite3.connect(tmp_path / "cases.db")
    assert other.execute("SELECT count(*) FROM cases").fetchone() == (1,)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_the_latest_comes_first_and_an_image_finds_its_own(store):
    one, two = store.add(case(sha256="b" * 64)), store.add(case())
    assert [item.id for item in store.list()[0]] == [two.id, one.id]
    assert [item.id for item in store.list(offset=1, limit=5)[0]] == [one.id]
    assert store.list(sha256="b" * 64) == ([one], 1)
    assert store.list(sha256="c" * 64) == ([], 0)
    assert store.list(limit=0) == ([], 2)


def test_a_change_counts_up_and_keeps_what_the_case_is_about(store):
    saved = store.add(case())
    changed = store.change(saved.id, 1, Reading(verdict="corrected", correct=["healthy"]))
    assert (changed.revision, changed.verdict, changed.comment) == (2, "corrected", "")
    assert (changed.sha256, changed.probabilities) == (saved.sha256, saved.probabilities)
    assert store.get(saved.id) == changed


def test_a_change_of_what_somebody_changed_meanwhile_is_refused(store):
    saved = store.add(case())
    store.change(saved.id, 1, Reading(verdict="undecided", comment="first"))
    with pytest.raises(Refusal) as refused:
        store.change(saved.id, 1, Reading(verdict="undecided", comment="second"))
    assert (refused.value.status, refused.value.code) == (409, "changed_meanwhile")
    assert store.get(saved.id).comment == "first"


def test_a_deleted_case_leaves_nothing_of_its_text_or_image_in_the_file(tmp_path, store):
    words = "a comment that shall not be found"
    saved = store.add(case(comment=words))
    store.keep_image(saved.id, b"image bytes " * 1000)
    store.close()
    before = (tmp_path / "cases.db").read_bytes()
    assert words.encode() in before
    assert b"image bytes " in before
    again = CaseStore(tmp_path / "cases.db")
    again.delete(saved.id)
    assert again.list() == ([], 0)
    again.close()
    after = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert words.encode() not in after
    assert b"image bytes " not in after


def test_an_image_is_kept_and_replaced_with_its_case(store):
    saved = store.add(case())
    assert not saved.has_image
    assert store.keep_image(saved.id, b"one").has_image
    store.keep_image(saved.id, b"two")
    assert store.image(saved.id) == b"two"
    store.delete(saved.id)
    with pytest.raises(Refusal):
        store.image(saved.id)


def test_what_is_not_there_is_404(store):
    for ask in (
        lambda: store.get("no"),
        lambda: store.delete("no"),
        lambda: store.image("no"),
        lambda: store.keep_image("no", b""),
        lambda: store.change("no", 1, Reading(verdict="accepted")),
    ):
        with pytest.raises(Refusal) as refused:
            ask()
        assert refused.value.status == 404


def test_many_threads_lose_no_case(store):
    def work() -> None:
        for _ in range(10):
            store.add(case())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cases, total = store.list(limit=1000)
    assert total == len({item.id for item in cases}) == 80


def test_the_file_is_its_owners_alone(tmp_path, store):
    assert stat.S_IMODE((tmp_path / "cases.db").stat().st_mode) == 0o600


def test_another_programs_file_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (a)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="another program"):
        CaseStore(path)
    assert path.read_bytes() == before


def test_what_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("image,label\n" * 300)
    with pytest.raises(InputError, match="no case log"):
        CaseStore(path)
    assert path.read_text() == "image,label\n" * 300


def test_a_later_softcams_file_is_refused(tmp_path):
    path = tmp_path / "cases.db"
    CaseStore(path).close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(InputError, match="later softcam"):
        CaseStore(path)


def test_a_folder_that_is_not_there_is_told_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"--cases: .* cannot be opened"):
        CaseStore(tmp_path / "no" / "cases.db")


def test_a_full_log_refuses_what_comes_keeps_what_is_there_and_has_room_after_a_deletion(tmp_path):
    most = 1_000_000
    store = CaseStore(tmp_path / "cases.db", most_bytes=most)
    first, second = store.add(case()), store.add(case())
    store.keep_image(first.id, bytes(700_000))
    for ask in (
        lambda: store.keep_image(second.id, bytes(700_000)),
        lambda: [store.add(case(comment="a" * 10_000)) for _ in range(100)],
    ):
        with pytest.raises(Refusal) as refused:
            ask()
        assert (refused.value.status, refused.value.code) == (507, "case_log_full")
    assert store.get(second.id) == second
    assert store.image(first.id) == bytes(700_000)
    store.delete(first.id)
    assert store.keep_image(second.id, bytes(600_000)).has_image
    assert (tmp_path / "cases.db").stat().st_size <= most
    # The log of what was written is no larger than what one change and the page cache need.
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < most + (6 << 20)
    store.close()


def test_an_images_size_is_known_without_reading_it(store):
    saved = store.add(case())
    assert (store.image_size(saved.id), store.image_size("no")) == (0, 0)
    store.keep_image(saved.id, bytes(1234))
    assert store.image_size(saved.id) == 1234


def test_long_cases_are_listed_and_walked_through_some_at_a_time(store, monkeypatch):
    monkeypatch.setattr(cases_store, "_TOLD", 50_000)
    made = [store.add(case(comment=chr(97 + number) * 9000)).id for number in range(20)]
    listed = []
    while cases := store.list(offset=len(listed), limit=1000)[0]:
        assert len(cases) < 10
        listed += [item.id for item in cases]
    assert sorted(listed) == sorted(made)
    walked = [[item.id for item in cases] for cases in store.walk()]
    assert [id_ for ids in walked for id_ in ids] == made
    assert max(map(len, walked)) < 10
    assert [len(cases) for cases in store.walk(count=3)] == [3] * 6 + [2]


def test_a_walk_goes_on_beside_changes_and_tells_no_case_twice(store):
    made = [store.add(case()).id for _ in range(6)]
    walk = store.walk(count=2)
    seen = [item.id for item in next(walk)]
    store.change(made[0], 1, Reading(verdict="accepted"))
    store.delete(made[1])
    store.delete(made[3])
    seen += [item.id for cases in walk for item in cases]
    assert seen == [made[0], made[1], made[2], made[4], made[5]]


def test_a_log_that_another_program_holds_is_busy(tmp_path, store, monkeypatch):
    store._db.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "cases.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Refusal) as refused:
        store.add(case())
    assert (refused.value.status, refused.value.code) == (503, "busy")
    other.execute("ROLLBACK")
    other.close()
    store.add(case())
