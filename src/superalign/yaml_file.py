"""Settings in a YAML file: read once, and each key once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from superalign.errors import ConfigError

MERGE = "tag:yaml.org,2002:merge"


def read_config(path: Path, example: str = "study: weak-to-strong") -> dict[str, Any]:
    """Read a YAML (or JSON) config.

    Args:
        path: of the file.
        example: of a setting, for who has written none.

    Raises:
        ConfigError: it is missing, not text, not YAML, or not a mapping.
    """
    try:
        data = _OnceLoader(path.read_text(encoding="utf-8-sig")).get_single_data()
    except FileNotFoundError:
        raise ConfigError(f"there is no config '{path}'") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read '{path}'", why=str(error), fix="save it as UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"cannot read '{path}'", why=error.strerror or str(error)) from None
    except ConfigError as error:
        error.where = f"{path}:{(error.where or '').removeprefix('line ')}"
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: such as a date that is none
        raise ConfigError(f"'{path}' is not YAML", why=" ".join(str(error).split())) from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(f"'{path}' must be a mapping of settings", fix=f"for example: {example}")
    return data


class _OnceLoader(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See yaml.SafeLoader."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                if key.value in seen:
                    mark = key.start_mark
                    raise ConfigError(f"the key '{key.value}' is given twice", where=f"line {mark.line + 1}")
                seen.add(key.value)
        return super().construct_mapping(node, deep)
