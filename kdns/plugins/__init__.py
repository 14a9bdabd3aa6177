"""One module per Corefile directive.

Each has:

``Settings``
    a frozen value, what the directive says;
``parse(directive) -> Settings``
    raises ``ConfigError`` with file and line;
``combine(settings_of_all) -> Settings``
    only where several directives of a server block act as one list;
``wrap(settings, next_handler, context) -> Handler``
    only where the directive takes part in answering: a stage of the chain.

``chain`` has the order and builds a server block's chain; ``interface`` the types.
"""
