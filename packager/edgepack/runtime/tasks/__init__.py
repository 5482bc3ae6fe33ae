"""One class ``Model`` per task: pre-processing, a Run, post-processing, and the task's natural call.

A module is edgepack's own or a third party's entry point ``edgepack.runtime.tasks``. Its ``Model(runs, folder,
processing)`` has ``feeds(examples)``, one batch's inputs, and ``predict(examples)``, a list with one answer for each
example: a number, a text, a record, an array, or a list or dict of those. Where a bundle has several submodels, the
module names those that every bundle has in ``SUBMODELS`` and those that some have in ``OPTIONAL``; a Model of it gives
the object that makes a submodel's inputs by ``submodels[name]``.
"""
