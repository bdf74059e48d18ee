"""A checkpoint saver for LangGraph; it comes with the extra `runstore[langgraph]`.

    with RunstoreSaver("localhost:7411", project="acme/search") as saver:
        graph = builder.compile(checkpointer=saver)
        graph.invoke(inputs, {"configurable": {"thread_id": "thread-1"}})

A thread is a run, a checkpoint is a snapshot, a pending write is a task write. For `ainvoke`, use
`async with` and the asynchronous methods.
"""

from runstore.langgraph.saver import RunstoreSaver
from runstore.langgraph.sessions import ThreadTakenOver

__all__ = ["RunstoreSaver", "ThreadTakenOver"]
