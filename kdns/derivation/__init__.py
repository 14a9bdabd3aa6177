"""How the server comes to an answer, told to who asks for ``NAME.explain.kdns``.

The question goes the way that every question goes, with a ``trace`` that stages write to; what the
answer depends on (its keys) then names the objects. Nothing is decided here.
"""
