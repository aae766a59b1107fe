"""One target under atheris: `python -m tests.fuzz.one TARGET DIRECTORY [libFuzzer's options]`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import atheris

from tests.fuzz.targets import CORPUS, TARGETS, Target

# An editable installation is found by a finder of its own, which atheris does not look through.
SDK = Path(__file__).parents[2] / "sdk"
OURS = ("collabd", "collab_sdk")


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    # Many inputs are wrong on purpose; warnings about them would flood the output.
    logging.getLogger("collabd").setLevel(logging.ERROR)
    name, home, *options = sys.argv[1:]
    target = next(each for each in TARGETS if each.name == name)
    sys.path.insert(0, str(SDK))
    with atheris.instrument_imports(include=[*OURS, *target.traced]):
        check = target.edge.check
        for seed in target.edge.seeds():
            check(seed)  # whatever is imported late is imported now
    atheris.Setup([sys.argv[0], *options, *_prepared(target, Path(home))], check)
    atheris.Fuzz()


def _prepared(target: Target, home: Path) -> list[str]:
    """What libFuzzer reads of the target: its dictionary, and directories of inputs to start from."""
    for name in ("grown", "seeds"):
        (home / name).mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(target.edge.seeds()):
        (home / "seeds" / str(number)).write_bytes(content)
    kept = [CORPUS / target.name] if any(target.kept()) else []
    directories = [str(path) for path in (home / "grown", home / "seeds", *kept)]
    if not target.words:
        return directories
    (home / "words").write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    return [f"-dict={home}/words", *directories]


def _escaped(word: str) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word.encode())


if __name__ == "__main__":
    main()
