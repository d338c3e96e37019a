import pytest

from softcam.deploy.export.seal import UNSEALED, digest_of, is_sealed, seal, seal_holds

CONTENT = b"graph " + UNSEALED.encode() + b" rest"


def test_a_sealed_file_is_as_long_as_before_and_holds():
    sealed = seal(CONTENT, b"weights")
    assert len(sealed) == len(CONTENT)
    assert is_sealed(sealed)
    assert seal_holds(sealed, b"weights")
    assert digest_of(sealed) == sealed.partition(b"sha256:")[2][:64].decode()
    assert set(digest_of(sealed)) <= set("0123456789abcdef")


@pytest.mark.parametrize("place", range(len(CONTENT)))
def test_any_changed_byte_is_noticed(place):
    sealed = bytearray(seal(CONTENT, b"weights"))
    sealed[place] ^= 1
    assert not seal_holds(bytes(sealed), b"weights")


@pytest.mark.parametrize("others", [(), (b"weightx",), (b"weights", b""), (b"weight",)])
def test_other_weights_are_noticed(others):
    assert not seal_holds(seal(CONTENT, b"weights"), *others)


def test_what_moves_from_one_file_to_the_next_is_noticed():
    assert not seal_holds(seal(CONTENT, b"ab", b"c"), b"a", b"bc")


def test_no_place_or_two_are_refused():
    for content in (b"graph", CONTENT + CONTENT):
        assert not is_sealed(content)
        assert not seal_holds(content)
        assert digest_of(content) is None
        with pytest.raises(ValueError, match="no place"):
            seal(content)
