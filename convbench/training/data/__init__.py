"""Training data: sources of examples, their mixture, the order of drawing, and what they share with an evaluation set."""
