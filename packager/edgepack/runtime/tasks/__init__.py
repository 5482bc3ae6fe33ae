"""One class ``Model`` per task: pre-processing, a Run, post-processing, and the task's natural call."""
