"""An orchestrator that crashes and resumes: a survey of Python's own standard library.

`planner` makes the plan, `analysis` does the work, `executor` runs the one over the other and
records every step, and `python -m clients.examples.survey` kills, freezes and wakes executors while
it watches the run's stream.
"""
