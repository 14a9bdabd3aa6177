"""CoreDNS's expressions about a question (``view``, ``template``), in the language of expr-lang.

What Corefiles use of that language is here: literals, lists, operators, predicates and string functions;
not maps, ``let``, dates and encodings. An expression is read once, its kinds are checked, and what comes
out is a function. It opens nothing and, being without loops of its own, always ends.
"""

from kdns.plugins.expressions.options import read_expression
from kdns.plugins.expressions.parser import RESERVED, compile_expression
from kdns.plugins.expressions.question import BY_ASKER, QUESTION
from kdns.plugins.expressions.values import Env, Expression, ExpressionError, Function

__all__ = [
    "BY_ASKER",
    "QUESTION",
    "RESERVED",
    "Env",
    "Expression",
    "ExpressionError",
    "Function",
    "compile_expression",
    "read_expression",
]
