"""The engine that spreads work over a Ray cluster."""
