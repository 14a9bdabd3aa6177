"""How hypothesis looks for examples: the same ones in each run, however long they take.

A run that fails then tells of a change, not of chance or of a busy machine.
``--hypothesis-profile=search`` looks for new ones.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", settings.get_profile("same"), derandomize=False)
settings.load_profile("same")
