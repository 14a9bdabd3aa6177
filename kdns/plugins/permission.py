"""What a client may query, for the reasons of answers: they name nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdns.plugins.interface import Context
from kdns.wire.message import FOREVER, Query
from kdns.wire.names import Name, plain_address

if TYPE_CHECKING:
    from kdns.plugins.acl import Rules


class Permission:
    """The names that a client may query of a server block: those that come to it and pass its ``acl``."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.rules: Rules | None = None
        if next(context.block.named("acl"), None) is not None:
            from kdns.plugins import acl  # noqa: PLC0415 - most blocks have none

            self.rules = acl.rules_of(context)

    def of(self, query: Query) -> Client:
        """What the client of ``query`` may query besides, with the same type."""
        return Client(self, query)


class Client:
    """The client of one query; called with a name, whether it may query that."""

    def __init__(self, permission: Permission, query: Query) -> None:
        self.permission, self.query = permission, query
        self.differs = False
        """Whether another client might have been answered otherwise."""

    def __call__(self, name: Name) -> bool:
        permission, query = self.permission, self.query
        here, by_client = permission.context.receives(query, name)
        self.differs |= by_client
        if not here or permission.rules is None:
            return here
        # A query of the server's own may be made for any client.
        address = plain_address(query.client) if query.client else None
        _, action, by_address = permission.rules.decide(name, query.qtype, address)
        self.differs |= by_address
        return action == "allow"

    @property
    def keep_until(self) -> float:
        """Of an answer that names what the client may query; 0 where another may query other names."""
        return 0.0 if self.differs else FOREVER
