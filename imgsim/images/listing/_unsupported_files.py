"""The warning about photographs in formats that cannot be opened."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from imgsim._warnings import warn_caller

__all__ = ["PHOTO_EXTENSIONS", "warn_of_unsupported"]

# Formats that Pillow cannot open, or only with a plugin, or only in some builds.
# fmt: off
_HEIF = frozenset((".heic", ".heics", ".heif", ".heifs", ".hif"))
_RAW = frozenset((
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr",
    ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf",
    ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
))
_OTHER = frozenset((
    ".avif", ".avifs", ".exr", ".hdp", ".jp2", ".jxl", ".jxr", ".psb", ".psd", ".wdp",
    ".webp", ".xcf",
))
# fmt: on
_REMEDIES = {
    _HEIF: "For HEIC and HEIF, run pip install 'scikit-imgsim[heif]'.",
    _RAW: "Convert raw files of cameras to JPEG or TIFF.",
    _OTHER: (
        "Convert files of other formats, or register a plugin of Pillow that opens "
        "their format."
    ),
}
PHOTO_EXTENSIONS = _HEIF | _RAW | _OTHER


def warn_of_unsupported(paths: Collection[Path], folder: Path) -> None:
    """Warn if there are photographs that cannot be opened, with their extensions."""
    if not paths:
        return
    n_files = Counter(path.suffix.lower() for path in paths)
    ordered = sorted(n_files.items(), key=lambda item: (-item[1], item[0]))
    counts = ", ".join(f"{n} {extension}" for extension, n in ordered)
    remedies = [text for part, text in _REMEDIES.items() if part & n_files.keys()]
    patterns = [f"*{extension}" for extension in sorted(n_files)]
    warn_caller(
        f"{len(paths)} files in folder={str(folder)!r} look like photographs, but are "
        f"not listed, because their formats cannot be opened: {counts}. "
        f"{' '.join(remedies)} To ignore these files without a warning, add "
        f"{patterns} to `exclude`.",
        UserWarning,
    )
