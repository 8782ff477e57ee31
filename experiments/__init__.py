"""Scripts on top of nasjax: flags to a configuration to one call."""
