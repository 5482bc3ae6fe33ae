"""The original of a task, by the task's route: each module offers ``open_original`` (see edgepack.original)."""
