"""Studies: a recipe and its variants, trained from several seeds each, and a report on how they differ."""
