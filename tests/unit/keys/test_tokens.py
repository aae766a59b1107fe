"""Who has a key, and how the files of keys are read."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest

from collabd.keys.files import KeyProblem
from collabd.keys.tokens import Tokens, fingerprint, line, new_token, read_token, read_tokens


def written(path: Path, text: str, mode: int = 0o400) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_device_on_the_list_is_admitted_and_nobody_else(tmp_path: Path) -> None:
    pi, other = new_token(), new_token()
    text = f"# The one in the kitchen\n{line('pi', pi)}\n{line('pi-2', other)}"
    listed = read_tokens(written(tmp_path / "tokens", text))
    assert listed.names == ["pi", "pi-2"]
    assert listed.device(f"Bearer {pi}") == "pi"
    assert listed.device(f"bearer {other}") == "pi-2"
    for header in (
        "",
        "Bearer",
        "Bearer ",
        f"Basic {pi}",
        pi,
        f"Bearer {pi}x",
        f"Bearer {pi[:-1]}",
        "Bearer \udcff",
        f"Bearer {fingerprint(pi)}",
    ):
        assert listed.device(header) is None, header


def test_the_list_gives_no_token_away(tmp_path: Path) -> None:
    token = new_token()
    assert token not in line("pi", token)
    assert len(token) >= 43  # 32 bytes in base 64
    assert new_token() != token


@pytest.mark.parametrize("position", [0, 1, 2, None])
def test_all_entries_are_compared_wherever_the_match_is(position: int | None) -> None:
    made = [new_token() for _ in range(3)]
    compared: list[str] = []

    def equal(known: str, presented: str) -> bool:
        compared.append(known)
        return hmac.compare_digest(known, presented)

    listed = Tokens({str(index): fingerprint(token) for index, token in enumerate(made)}, equal=equal)
    found = listed.device(f"Bearer {'x' if position is None else made[position]}")
    assert (found is not None) is (position is not None)
    assert compared == [fingerprint(token) for token in made]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("secret-token-in-the-clear-0123456789\n", "line 1: is not NAME"),
        (f"pi sha256:{'0' * 63}\n", "line 1: is not NAME"),
        (f"# \n../pi sha256:{'0' * 64}\n", "line 2: is not NAME"),
        (f"pi sha256:{'0' * 64}\n" * 2, "line 2: this is a second line for pi"),
    ],
)
def test_a_bad_list_is_told_by_path_and_line_and_never_by_content(tmp_path: Path, text: str, why: str) -> None:
    path = written(tmp_path / "tokens", text)
    with pytest.raises(KeyProblem, match=why) as problem:
        read_tokens(path)
    assert str(problem.value).startswith(path)
    assert "secret" not in str(problem.value)
    assert "000" not in str(problem.value)


def test_a_list_of_no_device_admits_nobody(tmp_path: Path) -> None:
    assert read_tokens(written(tmp_path / "tokens", "# No device.\n")).device(f"Bearer {new_token()}") is None


@pytest.mark.parametrize(
    "text", ["short", "x" * 31, "two words of thirty-two characters and more", "ü" * 40, "x" * 513]
)
def test_what_is_no_token_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyProblem, match="holds no token") as problem:
        read_token(written(tmp_path / "token", text))
    assert text not in str(problem.value)


def test_a_token_file_may_end_with_a_line_break(tmp_path: Path) -> None:
    token = new_token()
    assert read_token(written(tmp_path / "token", f"{token}\n")) == token


@pytest.mark.parametrize("mode", [0o404, 0o444, 0o644, 0o402, 0o420, 0o666])
def test_a_private_file_that_others_can_get_at_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyProblem, match=f"mode {mode:04o}.*chmod 400"):
        read_token(written(tmp_path / "token", new_token(), mode))


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_owner_and_a_reading_group_are_fine(tmp_path: Path, mode: int) -> None:
    assert read_token(written(tmp_path / "token", new_token(), mode))


def test_a_missing_file_and_a_huge_one_are_told(tmp_path: Path) -> None:
    with pytest.raises(KeyProblem, match="cannot be read: No such file"):
        read_token(str(tmp_path / "token"))
    with pytest.raises(KeyProblem, match="cannot be read: Is a directory"):
        read_token(str(tmp_path))
    with pytest.raises(KeyProblem, match="too large"):
        read_token(written(tmp_path / "huge", "x" * (2**20 + 1)))
