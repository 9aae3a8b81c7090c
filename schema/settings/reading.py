"""From the bytes of a file to settings that nobody need check again.

Rule: first the shape, then the paths, then the sense, so that each step may rely on the one before; what is wrong is
ConfigInvalid with the file's name.
"""

import os
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any

import msgspec

from schema.errors import ConfigInvalid, ConfigMissing
from schema.moments import parse_duration, parse_rate, parse_size
from schema.settings.checks import problem_of
from schema.settings.explaining import explain
from schema.settings.keys import Settings, StorageSettings
from schema.units import Duration, Rate, Size


def load(path: Path) -> Settings:
    """Read, check and resolve the configuration at `path`. Raises ConfigMissing, ConfigInvalid."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise ConfigMissing(path) from None
    except OSError as error:
        raise ConfigInvalid(path, f"it cannot be read: {error.strerror}") from None
    return parse(text, path)


def parse(text: bytes, path: Path) -> Settings:
    """Check `text` as the content of `path`. Raises ConfigInvalid."""
    try:
        # Windows editors put a mark of byte order in front, which TOML does not know.
        settings = msgspec.toml.decode(text.removeprefix(BOM_UTF8), type=Settings, dec_hook=_read_unit)
    except msgspec.ValidationError as error:
        raise ConfigInvalid(path, explain(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(path, f"it is not TOML: {error}") from None
    try:
        settings = _resolve(settings, path.absolute().parent)
    except ValueError as error:
        raise ConfigInvalid(path, str(error)) from None
    problem = problem_of(settings)
    if problem:
        raise ConfigInvalid(path, problem)
    return settings


def _read_unit(kind: type, value: Any) -> Any:
    """Turn the text of a unit into its number; msgspec adds the place to what is raised here."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} needs quotes and a unit")  # noqa: TRY004  msgspec reports ValueError only
    if kind is Duration:
        return Duration(parse_duration(value))
    if kind is Size:
        return Size(parse_size(value))
    if kind is Rate:
        return Rate(parse_rate(value))
    raise NotImplementedError(kind)


def _resolve(settings: Settings, base: Path) -> Settings:
    """Make every path absolute, relative to the configuration's folder. Raises ValueError."""

    def absolute(key: str, path: str | None) -> str | None:
        if path is None:
            return None
        if not path.strip() or "\0" in path:
            raise ValueError(f"{key} {path!r} is no path")
        if os.name != "nt" and path.startswith("\\\\"):
            raise ValueError(f"{key} {path!r} is a share as Windows names it: mount it here and give that folder")
        try:
            return os.path.normpath(base / Path(path).expanduser())
        except RuntimeError:
            raise ValueError(f"{key} {path!r} begins with the home folder of somebody unknown here") from None

    def storage(one: StorageSettings) -> StorageSettings:
        frigate = one.frigate
        if frigate is not None:
            frigate = msgspec.structs.replace(frigate, database=absolute("database", frigate.database))
        return msgspec.structs.replace(
            one,
            root=absolute("root", one.root),
            state=absolute("state", one.state),
            side=absolute("side", one.side),
            frigate=frigate,
        )

    servers = [
        msgspec.structs.replace(server, storages=[storage(one) for one in server.storages])
        for server in settings.servers
    ]
    # A path stays one: in an address a `?` in a folder's name would end it.
    ledger = settings.ledger if "://" in settings.ledger else absolute("ledger", settings.ledger)
    link = msgspec.structs.replace(settings.link, folder=absolute("link.folder", settings.link.folder))
    rules = settings.identity
    places = {key: absolute(f"identity.{key}", getattr(rules, key)) for key in ("config", "folder", "primary_config")}
    identity = msgspec.structs.replace(rules, **places)
    alarms = [msgspec.structs.replace(one, ca=absolute("ca", one.ca)) for one in settings.alarms]
    return msgspec.structs.replace(
        settings, servers=servers, ledger=ledger, link=link, identity=identity, alarms=alarms
    )
