"""Configs: versions of prompts, tools, agents and evaluators, which runs are pinned to."""
