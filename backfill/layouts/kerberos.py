"""Kerberos agent: one flat folder, everything in the name, renamed with its duration when it is closed.

Source (read in the agent's code): `<epoch s>_<digits>-<ms>_<name>_<region>_<token>_<duration ms>.mp4`; the milliseconds
are not padded (`3-474`, `2-74`); while open the name ends in `_0_.mp4` (continuous) or `_0.mp4` (on motion), and one
that never got a picture keeps it. With encryption the file is
**rewritten in place after the rename**, so a closed name must also rest before it is final. Older agents wrote six
digits of microseconds in that place, and a token where the duration is now.
"""

from typing import Self

from backfill.layouts.base import CompleteRule, EndRule, Named, Stamp, Traits, Unplaceable
from backfill.layouts.pattern import PathPattern
from backfill.layouts.patterned import PatternLayout, refuse_unknown_options
from schema.settings import StorageSettings
from schema.spans import SECOND

_MILLISECOND_DIGITS = 3


class Kerberos(PatternLayout):
    """`root` is the agent's `data/recordings`."""

    @classmethod
    def from_settings(cls, storage: StorageSettings) -> Self:
        """Return the layout; Kerberos has no options."""
        refuse_unknown_options("kerberos", storage.options, set())
        traits = Traits(
            name="kerberos",
            title="Kerberos agent",
            summary="One folder; start, camera and duration in the name; no index; without a marker no upload.",
            end=EndRule.NAME,
            complete=CompleteRule.NAME,
            segment=30 * SECOND,
            blur=SECOND // 5,
            fill="tree",
            staging_inside=True,
        )
        pattern = PathPattern(
            "%s_{digits}-{fraction}_{camera}_{region}_{token}_{last}.mp4",
            bodies={
                "digits": r"\d",
                "fraction": r"0|[1-9]\d{0,5}",
                "region": r"\d+-\d+-\d+-\d+",
                "token": r"-?\d+",
                "last": r"\d{1,10}",
            },
        )
        return cls(traits, [pattern], "UTC")

    def read(self, path: str) -> Named | None:
        """Return what `path` says, with the fraction of the second that follows its count of digits."""
        named = super().read(path)
        if named is None or named.stamp is None:
            return None
        digits, fraction = named.fields["digits"], named.fields["fraction"]
        if len(fraction) != int(digits):
            return None
        if len(fraction) > _MILLISECOND_DIGITS:
            return named._replace(stamp=Stamp(named.stamp.us + int(fraction), local=False))
        if not int(named.fields["last"]):
            return None  # still open
        return named._replace(
            stamp=Stamp(named.stamp.us + int(fraction) * 1000, local=False), duration=int(named.fields["last"]) * 1000
        )

    def write(self, named: Named) -> str:
        """Return the path that says `named`; the fraction follows the stamp."""
        if named.stamp is None or named.stamp.local:
            raise Unplaceable("a Kerberos name needs a UTC time")
        second, micros = divmod(named.stamp.us, SECOND)
        old = len(named.fields.get("fraction", "")) > _MILLISECOND_DIGITS
        fraction = str(micros if old else micros // 1000)
        fields = {"region": "0-0-0-0", "token": "-1", **named.fields}
        fields |= {"digits": str(len(fraction)), "fraction": fraction}
        if named.duration is not None:
            fields.setdefault("last", str(named.duration // 1000))
        return super().write(named._replace(stamp=Stamp(second * SECOND, local=False), fields=fields))
