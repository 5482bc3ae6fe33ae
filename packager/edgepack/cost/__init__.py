"""The bill: what inference costs on a rented server, on the users' devices, and where some devices cannot run it.

Arithmetic alone, in US dollars, bytes, joules and days (docs/cost.md); asked.py reads what a user states, records.py
holds it, bill.py computes.
"""

from __future__ import annotations

from edgepack.cost.asked import Asked, scenario
from edgepack.cost.bill import Bill, Course, bill
from edgepack.cost.records import Delivery, Egress, Figure, Scenario, Service, Use

__all__ = ["Asked", "Bill", "Course", "Delivery", "Egress", "Figure", "Scenario", "Service", "Use", "bill", "scenario"]
