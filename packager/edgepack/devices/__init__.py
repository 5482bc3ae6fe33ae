"""Devices that bundles are measured and checked on, by address: ``local``, ``ssh://user@host[:port]``, ….

A kind of device is a module of this package, named as its addresses begin, or a third party's entry point
``edgepack.devices``. ``connect(find(address), bundle)`` gives a Runner, of which stages ask what they ask of this
machine.
"""

from edgepack.devices._connect import connect
from edgepack.devices._device import Device, Transport
from edgepack.devices._emulation import emulated
from edgepack.devices._facts import Facts
from edgepack.devices._named import find, listed, place
from edgepack.devices._probe import clear, probe
from edgepack.devices._session import Session

__all__ = [
    "Device",
    "Facts",
    "Session",
    "Transport",
    "clear",
    "connect",
    "emulated",
    "find",
    "listed",
    "place",
    "probe",
]
