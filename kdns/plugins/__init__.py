"""One module per Corefile directive.

Each has:

``Settings``
    a frozen value, what the directive says;
``parse(directive) -> Settings``
    raises ``ConfigError`` with file and line;
``wrap(settings, next_handler, context) -> Handler``
    only where the directive takes part in answering: a stage of the chain.

``chain`` has the order and builds a server block's chain; ``interface`` the types.
"""
