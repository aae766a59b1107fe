"""What is lent is let go once: with its last user after it was retired, or at once where it has none."""

from __future__ import annotations

from contextlib import suppress

import pytest

from collabd.use_count import UseCount


@pytest.mark.parametrize("users", [0, 1, 3])
def test_the_last_user_lets_go(users: int) -> None:
    lent, let_go = UseCount(), []
    uses = [lent.in_use() for _ in range(users)]
    for use in uses:
        use.__enter__()
    assert lent.users == users
    lent.retire(lambda: let_go.append(lent.users))
    for use in uses:
        assert let_go == []
        use.__exit__(None, None, None)
    assert let_go == [0]


def test_a_use_that_fails_is_over_too() -> None:
    lent, let_go = UseCount(), []
    with suppress(ValueError), lent.in_use():
        lent.retire(lambda: let_go.append(0))
        raise ValueError("no")
    assert let_go == [0]


def test_what_is_not_retired_stays() -> None:
    lent = UseCount()
    with lent.in_use():
        pass
    assert lent.users == 0
    with lent.in_use():
        assert lent.users == 1
