"""Models and servers that components run on."""
