"""Checks of files before they are used: runs, responses, judgements and datasets, with everything that is wrong at once."""
