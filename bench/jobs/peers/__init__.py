"""Jobs in the environment of the peers, where only the client of ours is installed.

Each does one thing again and again by so many writers in one process, each in a run, session or
thread of its own: the call that records a step of an agent, with a payload of ours. What has to be
there first is made by the first call, which warms up.
"""
