"""Where the vectors of an index are made and searched: in this process, or on a cluster. The result is the same."""
