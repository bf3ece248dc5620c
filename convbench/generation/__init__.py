"""Generators: a question and evidence in, a response out."""
