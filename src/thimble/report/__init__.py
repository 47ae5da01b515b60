"""Reports: frozen dataclasses that are the truth; JSON is their dump, text a rendering.

Field names are the ones scripts rely on (docs/json.md); `provenance` says how each figure was got.
"""

from thimble.report.base import Report
from thimble.report.bench import BenchLayer, BenchReport, BenchResult, Seconds
from thimble.report.build import (
    REPORT_FILES,
    BuildLayer,
    BuildReport,
    Flash,
    PlanSummary,
    Ram,
    Verification,
)
from thimble.report.check import CheckReport, ModelChange
from thimble.report.compare import Cause, CompareLayer, CompareReport, Divergence, Spread
from thimble.report.evaluate import (
    ClassFigures,
    EvaluateDifference,
    EvaluateReport,
    EvaluateResult,
    Latency,
    TopK,
)
from thimble.report.inspect import InspectLayer, InspectReport, PortInfo
from thimble.report.plan import PlanReport, PlanTensor, RegionBytes, Saving
from thimble.report.repair import AppliedRepair, RepairCheck, RepairReport
from thimble.report.run import RunReport
from thimble.report.split import LongLived, SplitPart, SplitReport
from thimble.report.time import TimeDifference, TimeReport, Work
from thimble.report.together import TogetherMember, TogetherReport

__all__ = [
    "REPORT_FILES",
    "AppliedRepair",
    "BenchLayer",
    "BenchReport",
    "BenchResult",
    "BuildLayer",
    "BuildReport",
    "Cause",
    "CheckReport",
    "ClassFigures",
    "CompareLayer",
    "CompareReport",
    "Divergence",
    "EvaluateDifference",
    "EvaluateReport",
    "EvaluateResult",
    "Flash",
    "InspectLayer",
    "InspectReport",
    "Latency",
    "LongLived",
    "ModelChange",
    "PlanReport",
    "PlanSummary",
    "PlanTensor",
    "PortInfo",
    "Ram",
    "RegionBytes",
    "RepairCheck",
    "RepairReport",
    "Report",
    "RunReport",
    "Saving",
    "Seconds",
    "SplitPart",
    "SplitReport",
    "Spread",
    "TimeDifference",
    "TimeReport",
    "TogetherMember",
    "TogetherReport",
    "TopK",
    "Verification",
    "Work",
]
