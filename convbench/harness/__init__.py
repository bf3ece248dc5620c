"""The harness: plans a run, executes its stages, resumes them, joins and scores what they made."""
