"""Leaderboards that score again what is submitted: tracks, submissions, standings, and the site that shows them."""
