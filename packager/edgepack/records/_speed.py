"""The records of a speed, of the machine and its state: frozen (standard library only)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class NotMeasured:
    """A stand-in for a figure that could not be measured, with the reason."""

    reason: str

    def __str__(self) -> str:
        return f"not measured: {self.reason}"


_UNRECORDED = NotMeasured(reason="not recorded")


@dataclass(frozen=True, kw_only=True)
class Where:
    """On what a figure was measured."""

    machine: str  # processor, as the machine names it
    isa: str
    os: str
    runtime: str  # "onnxruntime 1.32.0"
    threads: int
    target: bool  # False: this machine is not the target
    features: tuple[str, ...] = ()  # of the processor, that decide which kernels run: "dotprod", "avx2"


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The state of a machine that can spoil a measurement; None: it does not tell."""

    load: float | None = None  # average number of processes that run, over a minute
    governor: str | None = None
    frequency: float | None = None  # hertz, of the fastest processor
    highest: float | None = None  # hertz, that it may have
    temperature: float | None = None  # degrees Celsius, of the hottest zone
    headroom: float | None = None  # degrees Celsius, least of all zones, to where the system slows down
    throttled: int | None = None  # the Raspberry Pi's bits, see `vcgencmd get_throttled`
    thermal_status: int | None = None  # Android's, 0 (none) to 6 (shutdown), see `dumpsys thermalservice`


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One speed measurement by the protocol of runtime/clock.py."""

    what: str  # "1 x 32 tokens"
    load: float  # in a new process, the file in the system's memory
    first: float  # of the inferences
    warmup: int  # inferences
    runs: int
    p50: float
    p90: float | NotMeasured
    p99: float | NotMeasured
    cpu: float | NotMeasured  # processor seconds per inference
    peak_memory: int | NotMeasured  # bytes, of the process
    where: Where
    verdict: str = "valid"  # or why the figure is not to be trusted
    tokens: int = 0  # that a language model processes in one run; 0 for other models
    submodel: str = ""  # that was timed, of a bundle with several
    energy: float | NotMeasured = _UNRECORDED  # joules per run, of the processors and all on them
    calls: int = 0  # of the submodel for one result with the usual settings; 0: none, or not known
    load_cold: float | NotMeasured = _UNRECORDED  # in a new process, the file read from the disk
    seconds: float | NotMeasured = _UNRECORDED  # that all runs took, and what lies between them
    rounds: tuple[float, ...] = ()  # median of each process's runs
    attempts: int = 1  # times that it was measured, of which this is the first valid one, or else the fastest
    before: Conditions | None = None
    after: Conditions | None = None

    @property
    def label(self) -> str:
        """The input, behind the submodel that was timed where there are several."""
        return f"{self.submodel} {self.what}".strip()

    @property
    def valid(self) -> bool:
        """True if nothing disturbed the measurement."""
        return self.verdict == "valid"

    @property
    def throughput(self) -> float | NotMeasured:
        """Inferences per second over all runs, of language models tokens."""
        if isinstance(self.seconds, NotMeasured):
            return self.seconds
        return self.runs * max(self.tokens, 1) / self.seconds if self.seconds else _UNRECORDED


Timings = tuple[Timing, ...] | NotMeasured  # of all inputs, or why this machine can time none
