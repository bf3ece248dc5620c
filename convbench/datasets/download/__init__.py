"""Getting official files: a manifest of where they are, downloads that survive faults, and a folder per dataset in the user's cache.

``downloads.yaml`` beside this package is the manifest. ``obtain`` is the way in; ``places`` says where things lie.
"""
