"""Part five of a connector's file: what it does with events that the source sends or lists.

A connector that only pulls says `none`, so that a reader sees a decision and not a gap.
"""

from typing import Literal

EventHandler = Literal["none"]
