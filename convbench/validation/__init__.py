"""Checks of files before they are used: runs, responses, judgements, datasets and submissions, with everything that is wrong at once."""
