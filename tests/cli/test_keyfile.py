"""Keys as other programs write them (CONTRACT, Program: key import)."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from dnsserver.cli.keyfile import KeyText, parse, same_name
from dnsserver.errors import InvalidData

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
STATEMENT = f'key "k1.example" {{\n\talgorithm hmac-sha512;\n\tsecret "{SECRET}";\n}};\n'


@pytest.mark.parametrize(
    ("text", "name", "algorithm"),
    [
        (SECRET, None, None),
        (f"\n  {SECRET[:9]}\n{SECRET[9:]}  \n", None, None),
        (STATEMENT, "k1.example", "hmac-sha512"),
        (f"key k1.example. {{ secret {SECRET}; }};", "k1.example.", None),
        (f'// a comment\n# another\nkey "k1" {{ /* one\nmore */ algorithm "hmac-md5"; secret "{SECRET}"; }};',
         "k1", "hmac-md5"),
        (f"hmac-sha256:k1.example:{SECRET}\n", "k1.example", "hmac-sha256"),
        (f"k1.example:{SECRET}", "k1.example", None),
    ],
)  # fmt: skip
def test_every_form_gives_the_secret(text: str, name: str | None, algorithm: str | None) -> None:
    assert parse(text, "file") == KeyText(name, algorithm, SECRET)


def test_of_several_keys_the_wanted_one_is_taken_whatever_its_case() -> None:
    text = STATEMENT + STATEMENT.replace("k1", "k2").replace("sha512", "sha256")
    assert parse(text, "file", "K2.Example.") == KeyText("k2.example", "hmac-sha256", SECRET)
    with pytest.raises(InvalidData) as caught:
        parse(text, "file", "k3.example")
    assert "k1.example, k2.example" in str(caught.value.problems[0])


@pytest.mark.parametrize(
    "text", ["", "not base64!", 'key "a" { algorithm hmac-sha256; };', "{ }", "hmac-sha256:k:%%%%", "a:b:c:d"]
)
def test_what_is_no_key_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(InvalidData) as caught:
        parse(text, "the-file")
    (problem,) = caught.value.problems
    assert problem.place == "the-file"
    assert "%%%%" not in str(problem)
    assert "not base64!" not in str(problem)


def test_the_secret_is_not_in_the_repr() -> None:
    assert SECRET not in repr(parse(STATEMENT, "file"))


def test_names_compare_without_case_and_final_dot() -> None:
    assert same_name("A.example.", "a.EXAMPLE")
    assert not same_name("a.example", "b.example")


@pytest.mark.skipif(shutil.which("tsig-keygen") is None, reason="tsig-keygen is not installed")
def test_the_output_of_tsig_keygen() -> None:
    done = subprocess.run(["tsig-keygen", "-a", "hmac-sha384", "x.example"], capture_output=True, text=True, check=True)
    found = parse(done.stdout, "file")
    assert (found.name, found.algorithm) == ("x.example", "hmac-sha384")
    assert found.secret in done.stdout
