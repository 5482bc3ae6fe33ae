"""Every way to fail on purpose: a class, an exit code, one line and a hint.

EdgepackError                      1   (never raised itself; 1 is "a check failed")
├── CheckFailed                    1   a release check or an accuracy floor was missed
├── UsageError                     2   the command line or a call is wrong
│   └── UnknownName                3   a target, recipe, task … that does not exist (nearest suggested)
├── ProjectError                   4   edgepack.toml or a suite file is wrong
├── MissingExtra                   5   a Python package that the command needs is not installed, or another version
├── HistoryError                   6   a history of measurements that is damaged, another program's or in use
├── ModelError                    10   a model that cannot be read
│   ├── ModelNotFound             11   no such folder, package or hub id
│   ├── NetworkError              12   the hub cannot be reached
│   ├── UnsafeModel               13   pickled weights or remote code
│   ├── DamagedWeights            14   truncated or corrupt safetensors
│   ├── UnsupportedModel          15   an architecture or task that edgepack does not support
│   ├── PreprocessingDiffers      23   a model's own library makes other inputs, or other vectors, of the same text
│   ├── UnreadSetting             24   a setting in config.json that edgepack does not know
│   └── ReadingDiffers            25   edgepack's reading of config.json computes something else than transformers
├── DoesNotFit                    16   the model does not fit the target's memory or store limit
├── ConversionError               17   a conversion broke its promise
├── CoverageTooLow                18   too few of the weights were compressed
├── TargetError                   19   a target.toml that is wrong
├── DataError                     20   a data set that is missing, empty or lacks columns
├── DiskFull                      21   no space left to write
├── FileTrouble                   22   a file or folder that cannot be read or written
├── BundleError                   30   not a bundle
│   ├── BundleDamaged             31   a byte differs from the manifest
│   ├── BundleFileMissing         32   a listed file is not there
│   ├── BundleUnsafe              33   a path outside the folder, or a zip bomb
│   ├── BundleTooNew              34   written by a newer edgepack
│   ├── BundleTooOld              35   of a schema that apps are not generated from
│   └── SignatureError            60   a signature that cannot be read
│       ├── SignatureMissing      61   a signature is asked for, and the bundle has none
│       ├── SignatureWrong        62   a signature of another key, or of something else
│       ├── CertificateUntrusted  63   a signer's certificate that leads to no trusted root, or is not for signing
│       ├── CertificateExpired    64   a signer's certificate that is not valid now
│       └── FileNotSigned         65   a file that the signature does not cover
├── InputError                    40   an input that the model cannot take
│   ├── InputMissing              41   an input that is not given
│   ├── InputUnknown              42   an input that the model does not have
│   ├── InputTypeWrong            43   an input of another dtype or kind
│   └── ShapeNotAllowed           44   a shape that the model does not take
├── PackageError                  50   not a Core ML package
│   ├── PackageDamaged            51   a Core ML package that is cut short or contradicts itself
│   ├── PackageFileMissing        52   a file that the package names is not there
│   ├── PackageUnsafe             53   a path or link that leads out of the package
│   ├── PackageTooNew             54   a specification that is newer than edgepack
│   ├── NotAProgram               55   a Core ML model of another kind than ML Program
│   ├── UnsupportedOperator       56   an op that the evaluator does not know
│   ├── OperatorTooNew            57   an op that the package's deployment target does not have
│   └── EvaluationFailed          58   an op that cannot compute what it is given
├── KeyUnusable                   66   a key or a certificate of yours that cannot be used
├── Unexpected                    70   a mistake in edgepack itself
├── AppError                      71   an app's project that a bundle cannot be embedded in
│   ├── AppProjectMissing         72   no Gradle, Xcode or npm project where the target's apps need one
│   ├── AppFolderTaken            73   another bundle, or files that edgepack did not generate, where one is to go
│   └── EmbeddingDiffers          74   embed --check: an embedded copy that is not the bundle
├── AddressUnusable               75   an address that the service cannot listen at
├── DeviceError                   80   a device that cannot do what is asked of it
│   ├── DeviceUnreachable         81   no connection
│   ├── DeviceLost                82   a connection that broke off, or a device that says nothing any more
│   ├── DeviceBusy                83   another edgepack works there
│   ├── DeviceLacks               84   a program or package that is missing there, or of another version or processor
│   ├── DeviceFull                85   no space left on the device's disk
│   ├── DeviceStopped             86   the process there was ended: by its processor, for its memory, by a signal
│   └── DeviceAnswerWrong         87   an answer that is none
└── FleetError                    90   a cluster that cannot be reached, or that cannot run a sweep

and beside it, a BaseException:
Interrupted                      130   Ctrl-C
"""

from __future__ import annotations

from edgepack.errors._apps import (
    AddressUnusable,
    AppError,
    AppFolderTaken,
    AppProjectMissing,
    EmbeddingDiffers,
)
from edgepack.errors._builds import (
    CheckFailed,
    ConversionError,
    CoverageTooLow,
    DataError,
    DiskFull,
    DoesNotFit,
    FileTrouble,
    TargetError,
)
from edgepack.errors._bundles import (
    BundleDamaged,
    BundleError,
    BundleFileMissing,
    BundleTooNew,
    BundleTooOld,
    BundleUnsafe,
    CertificateExpired,
    CertificateUntrusted,
    FileNotSigned,
    KeyUnusable,
    SignatureError,
    SignatureMissing,
    SignatureWrong,
)
from edgepack.errors._devices import (
    DeviceAnswerWrong,
    DeviceBusy,
    DeviceError,
    DeviceFull,
    DeviceLacks,
    DeviceLost,
    DeviceStopped,
    DeviceUnreachable,
)
from edgepack.errors._inputs import (
    InputError,
    InputMissing,
    InputTypeWrong,
    InputUnknown,
    ShapeNotAllowed,
)
from edgepack.errors._models import (
    DamagedWeights,
    ModelError,
    ModelNotFound,
    NetworkError,
    PreprocessingDiffers,
    ReadingDiffers,
    UnreadSetting,
    UnsafeModel,
    UnsupportedModel,
)
from edgepack.errors._packages import (
    EvaluationFailed,
    NotAProgram,
    OperatorTooNew,
    PackageDamaged,
    PackageError,
    PackageFileMissing,
    PackageTooNew,
    PackageUnsafe,
    UnsupportedOperator,
)
from edgepack.errors._root import (
    EdgepackError,
    Interrupted,
    Unexpected,
    nearest,
)
from edgepack.errors._usage import (
    FleetError,
    HistoryError,
    MissingExtra,
    ProjectError,
    UnknownName,
    UsageError,
)

__all__ = [
    "AddressUnusable",
    "AppError",
    "AppFolderTaken",
    "AppProjectMissing",
    "BundleDamaged",
    "BundleError",
    "BundleFileMissing",
    "BundleTooNew",
    "BundleTooOld",
    "BundleUnsafe",
    "CertificateExpired",
    "CertificateUntrusted",
    "CheckFailed",
    "ConversionError",
    "CoverageTooLow",
    "DamagedWeights",
    "DataError",
    "DeviceAnswerWrong",
    "DeviceBusy",
    "DeviceError",
    "DeviceFull",
    "DeviceLacks",
    "DeviceLost",
    "DeviceStopped",
    "DeviceUnreachable",
    "DiskFull",
    "DoesNotFit",
    "EdgepackError",
    "EmbeddingDiffers",
    "EvaluationFailed",
    "FileNotSigned",
    "FileTrouble",
    "FleetError",
    "HistoryError",
    "InputError",
    "InputMissing",
    "InputTypeWrong",
    "InputUnknown",
    "Interrupted",
    "KeyUnusable",
    "MissingExtra",
    "ModelError",
    "ModelNotFound",
    "NetworkError",
    "NotAProgram",
    "OperatorTooNew",
    "PackageDamaged",
    "PackageError",
    "PackageFileMissing",
    "PackageTooNew",
    "PackageUnsafe",
    "PreprocessingDiffers",
    "ProjectError",
    "ReadingDiffers",
    "ShapeNotAllowed",
    "SignatureError",
    "SignatureMissing",
    "SignatureWrong",
    "TargetError",
    "Unexpected",
    "UnknownName",
    "UnreadSetting",
    "UnsafeModel",
    "UnsupportedModel",
    "UnsupportedOperator",
    "UsageError",
    "nearest",
]
