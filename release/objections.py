"""What speaks against releasing a commit."""

from __future__ import annotations

from collections.abc import Iterator

from release import changelog
from release.commit import Commit


def objections(commit: Commit, version: str, changes: str) -> Iterator[str]:
    """Each a sentence with what to do next. `version`: that of the sources; `changes`: the text of CHANGELOG.md."""
    if commit.changed:
        files = ", ".join(commit.changed[:3]) + (", ..." if len(commit.changed) > 3 else "")
        yield f"the checkout differs from the commit: commit or remove {files}"
    tag = f"v{version}"
    if tag not in commit.tags:
        others = sorted(each for each in commit.tags if each.startswith("v"))
        if others:
            yield f"the sources are of {version}, the tag says {', '.join(others)}: make version TO=..., and tag that"
        else:
            yield f"the commit has no tag {tag}: git tag --annotate {tag}, or git fetch --tags"
    if not changelog.sections(changes).get(version):
        yield f"CHANGELOG.md says nothing of {version}: make version TO={version}"
    if changelog.unreleased(changes):
        yield f"CHANGELOG.md has changes under Unreleased, which {tag} would not tell of: move them into its section"
