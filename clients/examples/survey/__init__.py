"""An orchestrator that crashes and resumes: a survey of Python's own standard library.

`planner` makes the plan, `analysis` does the work, and `executor` works through the plan and
records every step. `python -m clients.examples.survey` kills, freezes and wakes executors while it
watches the run's stream.
"""
