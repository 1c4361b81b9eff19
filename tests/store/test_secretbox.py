from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dnsserver.errors import StoreFailed
from dnsserver.store.secretbox import SIZE, SecretBox


def test_what_is_sealed_opens_with_the_same_key_and_context(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    box = SecretBox.load(path, create=True)
    assert path.stat().st_mode & 0o777 == 0o400
    assert path.stat().st_size == SIZE
    sealed = box.seal(b"words", b"name")
    assert b"words" not in sealed
    assert sealed != box.seal(b"words", b"name")
    assert SecretBox.load(path).open(sealed, b"name") == b"words"
    for other, context in ((box, b"other"), (SecretBox(bytes(SIZE)), b"name")):
        with pytest.raises(StoreFailed, match="unreadable"):
            other.open(sealed, context)
    for damaged in (b"", sealed[:5], sealed[:-1], b"\x02" + sealed[1:], sealed[:-1] + b"\x00\x00"):
        with pytest.raises(StoreFailed, match="unreadable"):
            box.open(damaged, b"name")


def test_a_missing_file_is_made_only_when_asked(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match=f"no secret file at {tmp_path}/secret"):
        SecretBox.load(tmp_path / "secret")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreFailed, match="no secret file"):
        SecretBox.load(tmp_path / "absent" / "secret", create=True)


def test_files_that_are_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"short")
    with pytest.raises(StoreFailed, match="has 5 octets, not 32"):
        SecretBox.load(path, create=True)
    path.write_bytes(bytes(SIZE))
    path.chmod(0o444)
    with pytest.raises(StoreFailed, match="chmod 0400"):
        SecretBox.load(path)
    with pytest.raises(StoreFailed, match="cannot be read"):
        SecretBox.load(tmp_path)


def test_a_credential_of_the_service_manager_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    own = SecretBox.load(tmp_path / "secret", create=True)
    (credentials / "secret").write_bytes(b"k" * SIZE)
    (credentials / "secret").chmod(0o400)
    given = SecretBox.load(tmp_path / "secret")
    assert SecretBox(b"k" * SIZE).open(given.seal(b"x")) == b"x"
    with pytest.raises(StoreFailed):
        own.open(given.seal(b"x"))


def test_processes_that_make_it_at_once_end_with_one_key(tmp_path: Path) -> None:
    boxes: list[SecretBox] = []
    start = threading.Barrier(8)

    def load() -> None:
        start.wait()
        boxes.append(SecretBox.load(tmp_path / "secret", create=True))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sealed = boxes[0].seal(b"x")
    assert [box.open(sealed) for box in boxes] == [b"x"] * 8
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
