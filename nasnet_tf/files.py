"""Files that are written as a whole or not at all."""

import os
import pathlib


def replace_file(path: pathlib.Path, content: str | bytes) -> None:
    """Writes a file so that no reader, kill or full disk ever meets half of it; text as UTF-8.

    Raises:
      OSError: it cannot be written; names the file, and what was there before stays.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(f"{path} cannot be written ({error.strerror}); what was there before stays") from error
