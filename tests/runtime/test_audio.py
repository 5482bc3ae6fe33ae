"""Sounds on the device: WAV files against scipy's reader, resampling against scipy's, and what is refused."""

from __future__ import annotations

import contextlib
import io
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepack.errors import InputError, UsageError
from edgepack.runtime.audio import wav_file
from edgepack.runtime.audio.input import AudioInput
from edgepack.runtime.audio.records import Audio, Waveform
from edgepack.runtime.audio.resampling import resampled
from edgepack.tasks._audio import wav

RATE = 16_000
PLAIN = Audio(
    input="input_values",
    sampling_rate=RATE,
    min_samples=400,
    features=Waveform(normalize=False, max_samples=2 * RATE),
)
READER = AudioInput(PLAIN)


def _tone(samples: int = 4000, channels: int = 1) -> np.ndarray:
    time = np.arange(samples)[:, None] / RATE
    return 0.6 * np.sin(2 * np.pi * np.array([440.0, 330.0])[:channels] * time)


def _file(samples: np.ndarray, rate: int = RATE) -> bytes:
    made = io.BytesIO()
    scipy.io.wavfile.write(made, rate, samples)
    return made.getvalue()


FORMS = {
    "u8": lambda x: np.asarray(x * 127 + 128, np.uint8),
    "i16": lambda x: np.asarray(x * 32767, np.int16),
    "i32": lambda x: np.asarray(x * 2147483000, np.int32),
    "f32": lambda x: np.asarray(x, np.float32),
    "f64": lambda x: np.asarray(x, np.float64),
}
FULL = {"uint8": 128.0, "int16": 32768.0, "int32": 2147483648.0}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_file_is_read_as_scipy_reads_it(form: str, channels: int) -> None:
    raw = _file(np.squeeze(FORMS[form](_tone(channels=channels))))
    _, stored = scipy.io.wavfile.read(io.BytesIO(raw))
    middle, full = (128.0 if form == "u8" else 0.0), FULL.get(str(stored.dtype), 1.0)
    theirs = (stored.reshape(len(stored), -1).astype(np.float64) - middle) / full
    np.testing.assert_allclose(READER.samples(raw), theirs.mean(axis=1), atol=1e-7)


def test_24_bits_in_the_extensible_form_are_read_as_scipy_reads_them() -> None:
    values = np.asarray(_tone(channels=2) * 8388600, np.int32)
    data = values.astype("<i4").reshape(-1).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 2, RATE, RATE * 6, 6, 24, 22, 24, 3) + struct.pack("<H", 1)
    form += b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # chunks of odd sizes are filled up
    body = b"WAVE" + odd + b"fmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(data)) + data
    raw = b"RIFF" + struct.pack("<I", len(body)) + body
    _, stored = scipy.io.wavfile.read(io.BytesIO(raw))
    np.testing.assert_allclose(READER.samples(raw), stored.mean(axis=1) / 2147483648, atol=1e-7)
    piped = raw.replace(b"data" + struct.pack("<I", len(data)), b"data\xff\xff\xff\xff")  # by ffmpeg
    np.testing.assert_array_equal(READER.samples(piped), READER.samples(raw))


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000, 15_999])
def test_resampling_is_scipys(rate: int) -> None:
    samples = np.random.default_rng(0).normal(size=3001).astype(np.float32)
    theirs = scipy.signal.resample_poly(samples.astype(np.float64), RATE, rate)
    np.testing.assert_allclose(resampled(samples, rate, RATE), theirs, atol=1e-6)


def test_a_file_at_another_rate_and_an_array_at_it_are_the_same() -> None:
    samples = np.asarray(np.rint(_tone(6000) * 32767), np.int16)
    raw = _file(samples[:, 0], 44_100)
    array = READER.samples(samples[:, 0].astype(np.float32) / 32768, 44_100)
    np.testing.assert_array_equal(READER.samples(raw), array)
    np.testing.assert_allclose(array, scipy.signal.resample_poly(samples[:, 0] / 32768, 160, 441), atol=1e-6)


def test_the_way_on_is_a_command_that_a_shell_takes(tmp_path: Path) -> None:
    file = tmp_path / "my song.mp3"
    file.write_bytes(b"ID3")
    with pytest.raises(InputError, match="is not a WAV file") as caught:
        READER.feeds([file])
    assert caught.value.hint == f"ffmpeg -i '{file}' converted.wav"


def test_a_sound_is_read_from_a_path(tmp_path: Path) -> None:
    (tmp_path / "tone.wav").write_bytes(wav(_tone(), RATE))
    (made,) = READER.feeds([tmp_path / "tone.wav"])["input_values"]
    np.testing.assert_allclose(made, _tone()[:, 0], atol=1e-4)


def _wav(**changed: object) -> bytes:
    facts = {"kind": 1, "channels": 1, "rate": RATE, "bits": 16, "data": b"\0" * 4000, **changed}
    form = struct.pack("<HHIIHH", facts["kind"], facts["channels"], facts["rate"], 0, 0, facts["bits"])
    data = facts["data"]
    size = facts.get("size", len(data))
    return b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", size) + data


NAN = np.full(800, np.nan, np.float32)
WRONG = {
    "missing": ("nowhere.wav", "there is no sound nowhere.wav"),
    "no WAV": (b"RIFX" + b"\0" * 400, "what was given (404 bytes) is not a WAV file"),
    "empty": (b"", "is not a WAV file"),
    "no samples": (_wav(data=b""), "a sound of 0 samples at 16,000 per second is too short: the model takes 400"),
    "without data": (_wav()[:36], "is a WAV file without samples"),
    "short form": (b"RIFF\0\0\0\0WAVEfmt \2\0\0\0\1\0data\0\0\0\0", "does not say what it holds"),
    "cut": (_wav(size=9000), "is cut short"),
    "channels": (_wav(channels=6), "has 6 channels; a sound has one or two"),
    "no channels": (_wav(channels=0), "has 0 channels"),
    "slow": (_wav(rate=0), "has 0 samples per second"),
    "mulaw": (_wav(kind=7, bits=8), "in a form that is not read (format 7, 8 bits)"),
    "12 bits": (_wav(bits=12), "in a form that is not read (format 1, 12 bits)"),
    "long": (_wav(data=b"\0" * (5 * RATE)), "a sound of 2.5 s is too long: the bundle takes 2 s at most"),
    "long array": (np.zeros(2 * RATE + 1, np.float32), "too long"),
    "short array": (np.zeros(399), "a sound of 399 samples"),
    "NaN": (NAN, "the sound holds NaN or infinity"),
    "NaN in a file": (_file(NAN), "the sound holds NaN or infinity"),
    "infinite": (np.full(800, 1e300), "the sound holds NaN or infinity"),
    "two channels": (np.zeros((800, 2)), "must be an array of floats [samples]"),
    "integers": (np.zeros(800, np.int16), "must be an array of floats [samples]"),
    "nothing": (None, "must be an array of floats [samples]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_sound_is_an_input_error_of_one_line(case: str) -> None:
    sound, said = WRONG[case]
    with pytest.raises(InputError) as caught:
        READER.feeds([sound])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    raw=st.one_of(
        st.binary(max_size=60),
        st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=4)).map(
            lambda change: _wav()[: change[0]] + change[1] + _wav()[change[0] + len(change[1]) :]
        ),
        st.integers(0, 4044).map(lambda length: _wav()[:length]),
    )
)
@settings(max_examples=300, deadline=None)
def test_damaged_files_are_sounds_or_input_errors(raw: bytes) -> None:
    with contextlib.suppress(InputError):
        assert np.isfinite(READER.feeds([raw])["input_values"]).all()


def test_rates_without_a_common_divisor_are_refused_with_a_way_on() -> None:
    with pytest.raises(InputError, match="cannot be brought to 16,000") as caught:
        resampled(np.zeros(9, np.float32), 192_001, RATE)
    assert caught.value.hint == "ffmpeg -i sound.wav -ar 16000 other.wav"


def test_sounds_of_two_lengths_share_no_batch() -> None:
    with pytest.raises(InputError, match="cannot share a batch"):
        READER.feeds([np.zeros(500), np.zeros(501)])
    assert READER.feeds([np.zeros(500), np.zeros(500)])["input_values"].shape == (2, 500)


def test_a_file_states_its_own_rate() -> None:
    with pytest.raises(InputError, match="states its sampling rate itself"):
        READER.samples(wav(_tone(), RATE), 8000)


@pytest.mark.parametrize("rate", [0, -1, 999, 16000.0, float("nan"), "16000", True, 10**9])
def test_a_rate_that_is_none(rate: object) -> None:
    with pytest.raises((InputError, UsageError), match="sampling_rate is ") as caught:
        READER.samples(np.zeros(800), rate)  # type: ignore[arg-type]
    assert "from 1,000 to 384,000" in caught.value.hint


def test_values_that_cannot_be_normalised_are_told() -> None:
    loud = replace(PLAIN, features=Waveform(normalize=True, max_samples=800))
    with pytest.raises(InputError, match="too large to be prepared"):
        AudioInput(loud).feeds([np.tile(np.array([3e38, -3e38], np.float32), 300)])


def test_a_large_file_is_read_no_further_than_it_is_used(tmp_path: Path) -> None:
    file = tmp_path / "long.wav"
    with file.open("wb") as stream:
        stream.write(_wav(data=b"", size=1_000_000_000))
        stream.truncate(1_000_000_044)
    assert len(wav_file.read(file, 1.0).samples) == RATE + 1
    with pytest.raises(InputError, match=r"a sound of 31250\.0 s is too long"):
        READER.feeds([file])


def test_a_sound_may_be_as_long_as_is_stated() -> None:
    longest = replace(PLAIN, features=Waveform(normalize=True, max_samples=800))
    assert AudioInput(longest).feeds([np.zeros(800)])["input_values"].shape == (1, 800)
