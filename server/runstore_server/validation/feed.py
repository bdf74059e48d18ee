"""The feed and its consumers."""

from __future__ import annotations

from runstore_server.validation.bounds import (
    HEARTBEAT,
    ID,
    LABELS,
    LONG_PAGE,
    PROJECT,
    REQUIRED_ID,
    SEQ,
    TAGS,
    TOKEN,
    Bound,
)
from runstore_server.validation.checks import excludes
from runstore_server.validation.rules import MessageRules, Rules

OF_CONSUMER: dict[str, Bound] = {"project": PROJECT, "consumer": REQUIRED_ID}

RULES: Rules = {
    "FeedFilter": MessageRules({"types": TAGS, "tags": TAGS, "labels": LABELS}),
    "ReadFeedRequest": MessageRules(
        {"project": PROJECT, "from_position": SEQ, "page_size": LONG_PAGE}
    ),
    "FollowFeedRequest": MessageRules(
        {
            "project": PROJECT,
            "from_position": SEQ,
            "consumer": ID,
            "heartbeat_interval": HEARTBEAT,
        },
        checks=(excludes("consumer", "from_position"),),
    ),
    "CommitPositionRequest": MessageRules(OF_CONSUMER | {"position": SEQ}),
    "GetConsumerRequest": MessageRules(OF_CONSUMER),
    "ListConsumersRequest": MessageRules(
        {"project": PROJECT, "page_size": LONG_PAGE, "page_token": TOKEN}
    ),
    "ResetConsumerRequest": MessageRules(OF_CONSUMER | {"position": SEQ}),
}
