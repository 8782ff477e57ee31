"""A sweep: searches at several limits, compared with alternatives."""
