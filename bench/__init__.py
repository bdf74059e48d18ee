"""Measurements beside baselines: `python -m bench`, or `make bench`.

Each figure is taken in rounds, alternating with its baseline in the same run on the same machine,
and told as the median with its spread. Nothing here is a test.
"""
