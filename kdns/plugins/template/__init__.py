"""``template CLASS TYPE [ZONES…] { … }``: records made from the question by Go templates."""

from kdns.plugins.template.settings import Settings, parse
from kdns.plugins.template.stage import wrap

__all__ = ["Settings", "parse", "wrap"]
