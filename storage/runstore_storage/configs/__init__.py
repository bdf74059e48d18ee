"""Versions of prompts, tools, agents and evaluators, and what runs are pinned to."""
