"""What mypy checks: that the modules fit edgepack's Protocols."""

from edgepack.formats import Format, Route
from edgepack.original import OriginalRoute
from edgepack.runtime.engines import Engine
from edgepack.runtime.tasks import DeviceTask
from edgepack.tasks import Task
from lang_id import engine, format, linear, model, original, task

TASK: Task = task
DEVICE: DeviceTask = model
ORIGINAL: OriginalRoute = original
FORMAT: Format = format
ROUTE: Route = linear
ENGINE: Engine = engine
