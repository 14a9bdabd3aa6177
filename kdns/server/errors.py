"""What keeps a configuration from being used: the errors that are told, not raised further."""

from typing import Final

from kdns.config.tree import ConfigError
from kdns.sources.documents import ManifestError
from kdns.sources.transport import AccessError
from kdns.sources.zone_loading import ZoneFileError

UNUSABLE: Final = (ConfigError, AccessError, ManifestError, ZoneFileError)


def as_config_error(error: Exception) -> ConfigError:
    """The same for who starts the server."""
    return error if isinstance(error, ConfigError) else ConfigError(str(error))
