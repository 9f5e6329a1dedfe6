"""What is wrong with a data set: copies, leaks, conflicting labels, pictures that show nothing.

from mien.audit import audit, write_report, write_rows

found = audit("fer2013.parquet")
found.counts("leak")  # pictures of each split that have an exact copy in another
write_rows(found, Path("audit.csv"))  # for mien train --exclude
write_report(found, Path("report.html"))
"""

from mien.audit.findings import ISSUES, Audit, Finding, audit
from mien.audit.report import write_report
from mien.audit.rows import exclude_rows, write_rows

__all__ = ["ISSUES", "Audit", "Finding", "audit", "exclude_rows", "write_report", "write_rows"]
