"""What the store promises, by noun: its values and its methods. Read `store.py` first."""
