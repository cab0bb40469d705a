"""Servers that stand in for other people's, so that everything can be tried and tested on one machine."""
