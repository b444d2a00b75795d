"""Is an artifact whole: every file what the manifest says, every engine what its key says. Runs nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Integrity:
    """An artifact that is whole.

    Attributes:
        path: of the artifact.
        files: whose SHA-256 was compared; ``size`` their bytes together.
        engines: whose bytes and facts were compared with their keys.
    """

    path: str
    files: int
    size: int
    engines: int

    def sentence(self) -> str:
        """One line for people."""
        text = f"whole: {self.files} files, {self.size:,} bytes, are what the manifest says"
        if self.engines:
            text += f"; {self.engines} engine{'s fit their keys' if self.engines > 1 else ' fits its key'}"
        return text


def check_integrity(path: str | os.PathLike[str]) -> Integrity:
    """Check an artifact without running it; no GPU and no runtime is needed.

    Raises:
        ArtifactError: there is none, or it is damaged, foreign or of an unknown version.
    """
    from graphopt.artifact.reader import open_artifact
    from graphopt.backends.tensorrt.key import check_plan

    artifact = open_artifact(Path(path))
    engines = [region for region in artifact.manifest.regions if region.backend == "tensorrt"]
    for region in engines:
        check_plan(region.options, artifact.read(region.file))
    files = artifact.manifest.files
    return Integrity(os.fspath(path), len(files), sum(f.size for f in files.values()), len(engines))
