"""Query rewriters: a turn and its history view in, one self-contained query out."""
