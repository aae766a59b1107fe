"""The sums, as sha256sum reads them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from release.sums import NAME, sums


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["sha256sum", "--check", "--strict", NAME]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_sha256sum_finds_every_file_and_notices_a_change(tmp_path: Path) -> None:
    (tmp_path / "debian-13").mkdir()
    for name in ("b.whl", "a.tar.gz", "debian-13/c.deb", NAME):
        (tmp_path / name).write_text(name)
    (tmp_path / NAME).write_text(sums(tmp_path))
    checked = check(tmp_path)
    assert (checked.returncode, checked.stdout) == (0, "a.tar.gz: OK\nb.whl: OK\ndebian-13/c.deb: OK\n")
    (tmp_path / "b.whl").write_text("of somebody else")
    assert check(tmp_path).returncode == 1
