"""Read WAV files: PCM of 8, 16, 24 and 32 bits, and floats of 32 and 64.

Python 3.11's module ``wave`` reads neither floats nor the extensible form in which files of 24 bits come.
"""

from __future__ import annotations

import io
import shlex
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from edgepack.arrays import Array
from edgepack.errors import InputError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_UNTOLD = 0x7FFF0000  # bytes; what a program writes into a pipe says as many, or more
RATES = (1000, 384_000)  # samples per second
_CHANNELS = 2
_MOST = 1 << 10  # bytes of a form that are read


class Sound(NamedTuple):
    """The samples of a file, float32 [samples], mostly from -1 to 1; how many it holds of each channel in all."""

    samples: Array
    rate: int  # samples per second
    length: int


class _File(NamedTuple):
    name: str  # in errors
    typed: str  # in commands


class _Form(NamedTuple):
    kind: int
    channels: int
    rate: int
    bits: int


def read(file: str | Path | bytes, seconds: float) -> Sound:
    """Return the first ``seconds`` of a file's path or bytes; of two channels the mean. Raises InputError."""
    if isinstance(file, bytes):
        return _read(io.BytesIO(file), _File(f"what was given ({len(file):,} bytes)", "sound"), seconds)
    try:
        with Path(file).open("rb") as stream:
            return _read(stream, _File(str(file), shlex.quote(str(file))), seconds)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


def _read(stream: BinaryIO, file: _File, seconds: float) -> Sound:
    form, size = _opened(stream, file)
    decode, width = _decoder(form, file)
    step = form.channels * width
    length = size // step
    taken = min(length, int(seconds * form.rate) + 1)
    raw = stream.read(taken * step)
    if len(raw) < taken * step:
        raise InputError(f"{file.name} is cut short", hint="copy it again")
    with np.errstate(over="ignore", invalid="ignore"):  # of floats, which are looked at afterwards
        values = decode(raw).reshape(-1, form.channels)
        return Sound(values.mean(axis=1, dtype=np.float32), form.rate, length)


def _opened(stream: BinaryIO, file: _File) -> tuple[_Form, int]:
    """Return the form, and the bytes of samples, which come next in ``stream``."""
    if stream.read(4) != b"RIFF" or stream.read(8)[4:] != b"WAVE":
        raise InputError(f"{file.name} is not a WAV file", hint=f"ffmpeg -i {file.typed} converted.wav")
    form = None
    while len(head := stream.read(8)) == 8:
        kind, size, place = head[:4], int.from_bytes(head[4:], "little"), stream.tell()
        if kind == b"data" and form is not None:
            rest = stream.seek(0, io.SEEK_END) - place
            stream.seek(place)
            return form, min(size, rest) if size >= _UNTOLD else size
        if kind == b"fmt ":
            form = _form(stream.read(min(size, _MOST)), file)
        stream.seek(place + size + size % 2)
    raise InputError(f"{file.name} is a WAV file without samples", hint="copy it again")


def _form(told: bytes, file: _File) -> _Form:
    if len(told) < 16:
        raise InputError(f"{file.name} is a WAV file that does not say what it holds", hint="copy it again")
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", told[:16])
    if kind == _EXTENSIBLE and len(told) >= 26:
        kind = int.from_bytes(told[24:26], "little")
    if not 1 <= channels <= _CHANNELS:
        raise InputError(
            f"{file.name} has {channels} channels; a sound has one or two",
            hint=f"ffmpeg -i {file.typed} -ac 1 converted.wav",
        )
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"{file.name} has {rate:,} samples per second; it must be {RATES[0]:,} to {RATES[1]:,}")
    return _Form(kind, channels, rate, bits)


def _decoder(form: _Form, file: _File) -> tuple[Callable[[bytes], Array], int]:
    """Return what makes samples of bytes, and the bytes of one."""
    found = _DECODERS.get((form.kind, form.bits))
    if found is None:
        raise InputError(
            f"{file.name} holds samples in a form that is not read (format {form.kind}, {form.bits} bits)",
            hint=f"ffmpeg -i {file.typed} -c:a pcm_s16le converted.wav",
        )
    return found, form.bits // 8


def _integers(dtype: str, middle: float = 0.0) -> Callable[[bytes], Array]:
    most = float(1 << (8 * np.dtype(dtype).itemsize - 1))
    return lambda raw: ((np.frombuffer(raw, dtype).astype(np.float64) - middle) / most).astype(np.float32)


def _of_24_bits(raw: bytes) -> Array:
    """Return samples of three bytes, which become the upper ones of four."""
    wide = np.zeros((len(raw) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
    return _integers("<i4")(wide.tobytes())


def _floats(dtype: str) -> Callable[[bytes], Array]:
    return lambda raw: np.frombuffer(raw, dtype).astype(np.float32)


_DECODERS: dict[tuple[int, int], Callable[[bytes], Array]] = {
    (_PCM, 8): _integers("u1", middle=128.0),
    (_PCM, 16): _integers("<i2"),
    (_PCM, 24): _of_24_bits,
    (_PCM, 32): _integers("<i4"),
    (_FLOAT, 32): _floats("<f4"),
    (_FLOAT, 64): _floats("<f8"),
}
