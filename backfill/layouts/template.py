"""Any recorder, as the operator describes it: a path pattern, a zone, an end rule and a completeness rule.

Rule: nothing is guessed; what the operator does not state has the careful default (fills go to the side).
"""

from typing import Self

from backfill.layouts.base import CompleteRule, EndRule, StartRule, Traits
from backfill.layouts.pattern import PathPattern, one_of
from backfill.layouts.patterned import PatternLayout, refuse_unknown_options
from schema.settings import StorageSettings
from schema.spans import SECOND

_SUFFIXES = ("mp4", "ts", "mkv", "m4s", "avi", "mov", "flv", "webm")


class Template(PatternLayout):
    """A `PatternLayout` from the `[template]` table."""

    @classmethod
    def from_settings(cls, storage: StorageSettings) -> Self:
        """Return the layout. Raises ValueError."""
        refuse_unknown_options("template", storage.options, {"camera"})
        rules = storage.template
        if rules is None:
            raise ValueError("layout \"template\" needs a [template] table with a 'pattern'")
        end = EndRule(rules.end)
        epoch = any(code in rules.pattern for code in ("%z", "%s", "{ms}", "{us}"))
        pattern = PathPattern(
            rules.pattern, camera=storage.options.get("camera", ""), bodies={"suffix": one_of(_SUFFIXES)}
        )
        if end is EndRule.NAME and not any(
            field in rules.pattern for field in ("{duration_ms}", "{duration_s}", "{end_s}", "{end_ms}")
        ):
            raise ValueError('end = "name" needs {duration_ms}, {duration_s}, {end_s} or {end_ms} in the pattern')
        if not epoch and ("{end_s}" in rules.pattern or "{end_ms}" in rules.pattern):
            raise ValueError("{end_s} and {end_ms} need a start that is no local time: %z, %s, {ms} or {us}")
        if end is EndRule.NEXT and rules.segment is None:
            raise ValueError("end = \"next\" needs the nominal length in 'segment'")
        has_time = any(code in rules.pattern for code in ("%S", "%M", "%s", "{ms}", "{us}"))
        traits = Traits(
            name="template",
            title="Described by the operator",
            summary="Any recorder whose paths follow a pattern with named fields.",
            start=StartRule.NAME if has_time else StartRule.END,
            end=end,
            complete=CompleteRule(rules.complete),
            # Plain integers: the ledger keeps `joint` as it is given.
            segment=int(rules.segment or 60 * SECOND),
            joint=int(rules.joint),
            late=int(rules.late),
            blur=SECOND // 5 if any(code in rules.pattern for code in ("%f", "{ms}", "{us}")) else SECOND,
            fill=rules.fill,
            name_step=1 if "%f" in rules.pattern or "{us}" in rules.pattern else SECOND,
            local=not epoch,
        )
        return cls(traits, [pattern], storage.zone)
